// Files of torch.save against the same tensors in a .safetensors file; files that are damaged, or
// hold something else.
#include "peft/hub/torch_file.h"

#include <map>
#include <random>
#include <sstream>

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

const std::filesystem::path kFolder = kGolden / "torch";

std::string bytes_of(const TensorEntry& entry) {
  return bytes_of_file(entry.file).substr(entry.offset, entry.bytes);
}

std::map<std::string, TensorEntry> by_name(std::vector<TensorEntry> entries) {
  std::map<std::string, TensorEntry> map;
  for (TensorEntry& entry : entries) map.emplace(entry.name, entry);
  EXPECT_EQ(map.size(), entries.size());
  return map;
}

std::string refused(const std::filesystem::path& file) {
  return error_of([&] { read_torch_file(file); });
}

class TorchFile : public testing::TestWithParam<const char*> {
 protected:
  const std::filesystem::path file_ = kFolder / GetParam();
};

TEST_P(TorchFile, HoldsWhatTheSafetensorsFileHolds) {
  const auto wanted = by_name(read_safetensors_header(kGolden / "mixed.safetensors"));
  const auto found = by_name(read_torch_file(file_));
  ASSERT_EQ(found.size(), wanted.size() + 3);
  for (const auto& [name, entry] : wanted) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_EQ(found.at(name).dtype, entry.dtype) << name;
    EXPECT_EQ(found.at(name).shape, entry.shape) << name;
    EXPECT_EQ(bytes_of(found.at(name)), bytes_of(entry)) << name;
  }
  const std::string whole = bytes_of(wanted.at("t08"));
  EXPECT_EQ(bytes_of(found.at("same")), whole);
  EXPECT_EQ(found.at("same").offset, found.at("t08").offset);
  EXPECT_EQ(found.at("row").shape, (std::vector<int64_t>{3}));
  EXPECT_EQ(bytes_of(found.at("row")), whole.substr(12));
  EXPECT_EQ(bytes_of(found.at("parameter")), bytes_of(wanted.at("t07")));
}

TEST_P(TorchFile, NoDamageReachesBeyondTheFile) {
  const std::string whole = bytes_of_file(file_);
  const auto expect_safe = [&](const std::string& damaged) {
    std::istringstream in(damaged);
    try {
      for (const TensorEntry& entry : parse_torch_file(in, damaged.size(), "damaged")) {
        ASSERT_LE(entry.offset, damaged.size());
        ASSERT_LE(entry.bytes, damaged.size() - entry.offset);
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel) << error.what();
    }
  };
  with_every_bit_flipped(whole, whole.size(), expect_safe);
  for (size_t size = 0; size < whole.size(); size += 3) expect_safe(whole.substr(0, size));
}

TEST_P(TorchFile, CutShortIsSaid) {
  const TemporaryFolder folder;
  const std::string whole = bytes_of_file(file_);
  for (const size_t lost : {1, 30, 700}) {
    const auto cut = folder.write("cut.bin", whole.substr(0, whole.size() - lost));
    expect_contains(refused(cut), "cut.bin: ");
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, TorchFile, testing::Values("zip.bin", "legacy.bin"));

TEST(TorchFile, WhatIsNoDictOfTensorsIsRefused) {
  expect_contains(refused(kFolder / "transposed.bin"), "tensor 'transposed' is not contiguous");
  expect_contains(refused(kFolder / "number.bin"), "'step' is not a tensor");
  expect_contains(refused(kFolder / "list.bin"), "holds no dict of tensors");
  expect_contains(refused(kGolden / "mixed.safetensors"), "only dicts of tensors are read");
}

// What a hostile file asks for is not looked up, let alone called.
TEST(TorchFile, NoOtherPythonObjectIsTaken) {
  const TemporaryFolder folder;
  const std::string call(
      "\x80\x02"
      "cos\nsystem\nX\x02\0\0\0ls\x85R.",
      27);
  expect_contains(refused(folder.write("evil.bin", call)),
                  "evil.bin: the pickle asks for the Python object 'os system'");
}

}  // namespace
}  // namespace rankwise
