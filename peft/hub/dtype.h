// The types of numbers in weight files: single numbers, and GGUF's blocks, which hold several
// numbers each with a common scale.
#pragma once

#include <cstdint>
#include <string_view>

namespace rankwise {

enum class Dtype {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K
};

// How a type is laid out: `numbers` in each run of `bytes`. 1 number a run: not a block type.
struct Layout {
  std::string_view name;  // "F32", "Q4_1" …, as safetensors and GGUF call it
  int64_t numbers, bytes;
  bool is_block() const { return numbers > 1; }
};
const Layout& layout_of(Dtype dtype);

}  // namespace rankwise
