// Every type of block against what the `gguf` package makes of the same bits, to the bit.
#include "peft/base/kernels/blocks.h"

#include <cstring>
#include <map>

#include "peft/hub/gguf.h"
#include "tests/peft/hub/files.h"

namespace rankwise {
namespace {

TEST(Blocks, UnpackToTheBitsOfTheGgufPackage) {
  const std::filesystem::path file = kGolden / "gguf" / "blocks.gguf";
  const std::string bytes = bytes_of_file(file);
  std::map<std::string, TensorEntry> by_name;
  for (const TensorEntry& entry : read_gguf(file).tensors) by_name[entry.name] = entry;
  ASSERT_EQ(by_name.size(), 22u);
  for (const auto& [name, packed] : by_name) {
    if (name.ends_with(".unpacked")) continue;
    EXPECT_TRUE(kernels::can_unpack(packed.dtype)) << name;
    const TensorEntry& unpacked = by_name.at(name + ".unpacked");
    ASSERT_EQ(packed.shape, unpacked.shape) << name;
    const int64_t rows = packed.shape[0], columns = packed.shape[1];
    std::vector<float> all(static_cast<size_t>(rows * columns)), one(static_cast<size_t>(columns));
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.data() + packed.offset);
    kernels::unpack_rows(packed.dtype, from, columns, 0, rows, all.data());
    const char* expected = bytes.data() + unpacked.offset;
    EXPECT_EQ(std::memcmp(all.data(), expected, unpacked.bytes), 0) << name;
    kernels::unpack_rows(packed.dtype, from, columns, 1, 2, one.data());
    EXPECT_EQ(std::memcmp(one.data(), expected + 4 * columns, size_t(4 * columns)), 0) << name;
  }
  EXPECT_FALSE(kernels::can_unpack(Dtype::kInt32));
}

}  // namespace
}  // namespace rankwise
