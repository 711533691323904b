// The safetensors format against files of the reference library, and against lies.
#include <map>
#include <random>

#include "peft/hub/tensor_file.h"
#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;

// The bytes of a file with this header, which is not padded.
std::string file_with(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header +
         std::string(data_bytes, 'x');
}

std::string refused(const std::string& file) {
  return error_of([&] { parse_safetensors_header(file, file.size(), "w.safetensors"); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}

std::vector<TensorBytes> read_all(const fs::path& file) {
  const std::string bytes = bytes_of_file(file);
  std::vector<TensorBytes> tensors;
  for (const TensorEntry& e : read_safetensors_header(file)) {
    EXPECT_EQ(e.file, file);
    tensors.push_back({e.name, e.dtype, e.shape, bytes.substr(e.offset, e.bytes)});
  }
  return tensors;
}

TEST(Safetensors, WritesTheReferencesBytes) {
  for (const char* name : {"mixed.safetensors", "adapter/adapter_model.safetensors"}) {
    std::vector<TensorBytes> tensors = read_all(kGolden / name);
    ASSERT_GE(tensors.size(), 7u);
    std::shuffle(tensors.begin(), tensors.end(), std::mt19937(7));
    EXPECT_EQ(to_safetensors(std::move(tensors)), bytes_of_file(kGolden / name)) << name;
  }
}

TEST(Safetensors, ReadsEveryType) {
  std::map<std::string, TensorBytes> by_name;
  for (TensorBytes& tensor : read_all(kGolden / "mixed.safetensors")) by_name[tensor.name] = tensor;
  const std::vector<std::pair<Dtype, int64_t>> types = {
      {Dtype::kBool, 1},    {Dtype::kUInt8, 1},  {Dtype::kInt8, 1},    {Dtype::kInt16, 2},
      {Dtype::kInt32, 4},   {Dtype::kInt64, 8},  {Dtype::kFloat16, 2}, {Dtype::kBFloat16, 2},
      {Dtype::kFloat32, 4}, {Dtype::kFloat64, 8}};
  for (size_t i = 0; i < types.size(); ++i) {
    const TensorBytes& tensor = by_name.at(fmt::format("t{:02}", i));
    EXPECT_EQ(tensor.dtype, types[i].first);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(tensor.bytes.size(), size_t(6 * types[i].second));
  }
  EXPECT_EQ(by_name.at("scalar").shape, std::vector<int64_t>{});
  EXPECT_EQ(by_name.at("scalar").bytes, std::string("\0\0\xC0\x3F", 4));  // 1.5f
  EXPECT_EQ(by_name.at("empty").shape, (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(by_name.count("odd \"\\\n\t\x01\x7f é"), 1u);
}

TEST(Safetensors, RefusesLyingHeaders) {
  const std::string a = entry("a", "F32", "[2]", "[0,8]");
  EXPECT_EQ(parse_safetensors_header(file_with("{" + a + "}", 8), 8 + a.size() + 2 + 8, "w").size(),
            1u);
  const std::vector<std::tuple<std::string, size_t, std::string>> cases = {
      {"{" + a + "}", 7, "cut short: its tensors have 8 bytes, the file has 7"},
      {"{" + a + "}", 9, "too long"},
      {"{" + a + "," + entry("b", "F32", "[1]", "[4,8]") + "}", 8,
       "tensor 'b' starts at byte 4 of the data, but the one before it ends at 8"},
      {"{" + a + "," + entry("b", "F32", "[1]", "[12,16]") + "}", 16,
       "tensor 'b' starts at byte 12"},
      {"{" + a + "," + a + "}", 8, "\"a\" is there twice"},
      {"{" + entry("a", "F32", "[3]", "[0,8]") + "}", 8,
       "tensor 'a' has shape [3] of F32 but 8 bytes"},
      {"{" + entry("a", "F8_E4M3", "[8]", "[0,8]") + "}", 8, "tensor 'a' has the type \"F8_E4M3\""},
      {"{" + entry("a", "F32", "[-2]", "[0,8]") + "}", 8, "tensor 'a' has a shape"},
      {"{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", 8, "tensor 'a' has a shape"},
      {"{" + entry("a", "F32", "[18446744073709551615]", "[0,8]") + "}", 8,
       "tensor 'a' has a shape"},
      {"{" + entry("a", "F32", "[4294967296,4294967296,4]", "[0,0]") + "}", 0,
       "tensor 'a' has shape"},
      {"{" + entry("a", "I64", "[1152921504606846976]", "[0,0]") + "}", 0, "tensor 'a' has shape"},
      {"{" + entry("a", "F32", "[2]", "[8,0]") + "}", 8, "tensor 'a' has data_offsets [8,0]"},
      {"{" + entry("a", "F32", "[2]", "[0]") + "}", 8, "tensor 'a' has data_offsets"},
      {"{" + entry("a", "F32", "[2]", "[0,18446744073709551615]") + "}", 8,
       "tensor 'a' has data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "tensor 'a' has no 'data_offsets'"},
      {R"({"a":[]})", 0, "tensor 'a' is not an object"},
      {R"({"__metadata__":{"format":1}})", 0, "__metadata__"},
      {"[]", 0, "the header is not an object"},
      {"{", 0, "w.safetensors: header: column 2"},
  };
  for (const auto& [header, data_bytes, what] : cases)
    expect_contains(refused(file_with(header, data_bytes)), what);
}

TEST(Safetensors, RefusesLyingLengths) {
  expect_contains(refused(""), "not a safetensors file: 0 bytes");
  expect_contains(refused("1234567"), "7 bytes");
  expect_contains(refused(std::string(8, '\xFF') + "{}"), "not a safetensors file, or damaged");
  expect_contains(refused(std::string("\x03\0\0\0\0\0\0\0{}", 10)),
                  "cut short: the header has 3 bytes, the file 10");
  const TemporaryFolder folder;
  const fs::path file = folder.write("w.safetensors", std::string("\x03\0\0\0\0\0\0\0{}", 10));
  expect_contains(error_of([&] { read_safetensors_header(file); }), "w.safetensors: cut short");
  expect_contains(error_of([&] { read_safetensors_header(folder.path() / "none"); }), "none");
  expect_contains(error_of([&] { read_safetensors_header(folder.path()); }),
                  folder.path().string());
}

TEST(Safetensors, RefusesToWriteAShapeThatItsBytesDoNotHave) {
  expect_contains(error_of(
                      [] {
                        to_safetensors({{"a", Dtype::kFloat32, {2}, "1234"}});
                      },
                      ErrorKind::kInternal),
                  "shape [2] of F32 but 4 bytes");
}

// Whatever happens to a header, it is refused, or its entries lie within the file.
void expect_safe(const std::string& file) {
  try {
    for (const TensorEntry& e : parse_safetensors_header(file, file.size(), "w")) {
      ASSERT_LE(e.offset, file.size());
      ASSERT_LE(e.bytes, file.size() - e.offset);
    }
  } catch (const Error& error) {
    ASSERT_EQ(error.kind(), ErrorKind::kModel) << error.what();
  }
}

TEST(Safetensors, SurvivesEveryCutAndEveryFlippedBit) {
  for (const char* name : {"mixed.safetensors", "adapter/adapter_model.safetensors"}) {
    const std::string whole = bytes_of_file(kGolden / name);
    const size_t header_end = read_safetensors_header(kGolden / name).front().offset;
    for (size_t length = 0; length < whole.size(); ++length) refused(whole.substr(0, length));
    with_every_bit_flipped(whole, header_end, expect_safe);
  }
}

}  // namespace
}  // namespace rankwise
