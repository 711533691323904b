// The table of types. Blocks: https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h
#include "peft/hub/dtype.h"

#include <cstddef>

namespace rankwise {

const Layout& layout_of(Dtype dtype) {
  static constexpr Layout kLayouts[] = {
      // in the order of Dtype
      {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},   {"F64", 1, 8},
      {"I64", 1, 8},      {"I32", 1, 4},      {"I16", 1, 2},    {"I8", 1, 1},
      {"U8", 1, 1},       {"BOOL", 1, 1},     {"Q4_0", 32, 18}, {"Q4_1", 32, 20},
      {"Q5_0", 32, 22},   {"Q5_1", 32, 24},   {"Q8_0", 32, 34}, {"Q4_K", 256, 144},
      {"Q5_K", 256, 176}, {"Q6_K", 256, 210},
  };
  return kLayouts[static_cast<size_t>(dtype)];
}

}  // namespace rankwise
