// y = x Wᵀ for so few rows x that the time is that of reading W: it is read once, in order,
// whatever the number of rows. Each number of y is summed in the same order for any number of rows
// and threads. Not for units of training.
#pragma once

#include <cstdint>

namespace rankwise::kernels {

inline constexpr int64_t kFewRows = 16;  // fewer than a unit has

// x [rows, in], weight [out, in] → columns [first, last) of y [rows, out].
void few_rows_product(const float* x, int64_t rows, int64_t in, const float* weight, float* y,
                      int64_t out, int64_t first, int64_t last);

}  // namespace rankwise::kernels
