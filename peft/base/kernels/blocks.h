// Rows of GGUF's blocks to float32. Compiled without fused multiply-add, so that every processor
// gives the values of the `gguf` package.
#pragma once

#include <cstdint>

#include "peft/hub/dtype.h"

namespace rankwise::kernels {

// Whether unpack_rows knows this type: float32, float16, bfloat16 and all block types.
bool can_unpack(Dtype dtype);

// rows [last - first, columns] of a matrix of `dtype` (its first row at `from`) → out, from
// out[0] on. Columns are a multiple of the type's block.
void unpack_rows(Dtype dtype, const uint8_t* from, int64_t columns, int64_t first, int64_t last,
                 float* out);

}  // namespace rankwise::kernels
