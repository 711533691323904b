// Tensors of GGUF models to the bit as transformers reads them.
#include "peft/model/file_tensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

const std::filesystem::path kFiles = kGolden / "gguf";

at::Tensor read(const TensorEntry& entry, at::ScalarType type) {
  const int file = open(entry.file.c_str(), O_RDONLY | O_CLOEXEC);
  at::Tensor value = at::empty(entry.shape, type);
  read_tensor(file, entry, type, value.data_ptr());
  close(file);
  return value;
}

uint32_t checksum(const at::Tensor& value) {
  return uint32_t(crc32_z(0, static_cast<const Bytef*>(value.const_data_ptr()), value.nbytes()));
}

TEST(FileTensors, GgufAsTransformersReadsIt) {
  const Json models = read_json(kFiles / "models.json");
  for (const auto& [name, model] : models.items()) {
    size_t read_ones = 0;
    for (const TensorEntry& entry : list_model_tensors(kFiles / (name + ".gguf"))) {
      if (!model["tensors"].contains(entry.name)) continue;
      const at::Tensor value = read(entry, at::kFloat);
      EXPECT_EQ(checksum(value), model["tensors"][entry.name][1]) << name << " " << entry.name;
      EXPECT_TRUE(at::equal(read(entry, at::kBFloat16), value.to(at::kBFloat16))) << entry.name;
      ++read_ones;
    }
    EXPECT_EQ(read_ones, model["tensors"].size());
  }
}

TEST(FileTensors, SmolLM2AsTransformersReadsIt) {
  const std::filesystem::path file =
      std::filesystem::path(TESTS_DIR) / ".." / ".assets" / "SmolLM2-135M-Instruct.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << "launcher/fetch_assets brings " << file;
  const Json expected = read_json(kFiles / "smollm2.json");
  Json found = Json::object();
  for (const TensorEntry& entry : list_model_tensors(file))
    found[entry.name] = checksum(read(entry, at::kFloat));
  EXPECT_EQ(found.size(), 272u);
  EXPECT_EQ(found, expected);
}

TEST(FileTensors, InterleavedVectors) {
  const TemporaryFolder folder;
  const std::vector<float> stored = {0, 2, 1, 3, 4, 6, 5, 7};  // two heads of four
  TensorEntry entry{"q.bias", Dtype::kFloat32, {8}, "", 0, 32, 2, 0};
  entry.file = folder.write("b", std::string(reinterpret_cast<const char*>(stored.data()), 32));
  EXPECT_TRUE(at::equal(read(entry, at::kFloat), at::arange(8, at::kFloat)));
}

TEST(FileTensors, RefusesWhatIsNotThere) {
  const TemporaryFolder folder;
  TensorEntry entry{"w", Dtype::kQ8_0, {4, 32}, folder.write("b", std::string(100, 'x')), 0, 136};
  expect_contains(error_of([&] { read(entry, at::kFloat); }), "cannot read tensor 'w'");
  entry.dtype = Dtype::kInt32;
  expect_contains(error_of([&] { read(entry, at::kFloat); }), "tensor 'w' is I32");
}

}  // namespace
}  // namespace rankwise
