// A small matrix product for the inside of other kernels: C = A B or C += A B, where a library call
// would cost more than the product. Columns come in multiples of 16 (callers pad their buffers).
// Not for the model's linears.
#pragma once

#include <cstdint>

#include "peft/base/kernels/clones.h"

namespace rankwise::kernels {

inline constexpr int64_t kColumns = 16;  // of a tile
inline constexpr int64_t padded(int64_t n) { return (n + kColumns - 1) / kColumns * kColumns; }

typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));

// Element (i, k) of A is at a[i * row + k * column], so that a transposed A costs nothing.
struct StridedMatrix {
  const float* data;
  int64_t row, column;
};

template <int kRows>
RANKWISE_INLINE void gemm_tile(StridedMatrix a, const float* b, int64_t b_stride, float* c,
                               int64_t c_stride, int64_t depth, bool add) {
  Float8 sum[kRows][2];
  for (int i = 0; i < kRows; ++i) {
    for (int half = 0; half < 2; ++half) {
      sum[i][half] = add ? *reinterpret_cast<const Float8*>(c + i * c_stride + 8 * half) : Float8{};
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Float8 low = *reinterpret_cast<const Float8*>(b + k * b_stride);
    const Float8 high = *reinterpret_cast<const Float8*>(b + k * b_stride + 8);
    for (int i = 0; i < kRows; ++i) {
      const float factor = a.data[i * a.row + k * a.column];
      sum[i][0] += low * factor;
      sum[i][1] += high * factor;
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int half = 0; half < 2; ++half) {
      *reinterpret_cast<Float8*>(c + i * c_stride + 8 * half) = sum[i][half];
    }
  }
}

// C [rows, columns] (+)= A [rows, depth] B [depth, columns]; columns a multiple of 16.
RANKWISE_INLINE void gemm(int64_t rows, int64_t columns, int64_t depth, StridedMatrix a,
                          const float* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  for (int64_t j = 0; j < columns; j += kColumns) {
    int64_t i = 0;
    const auto at = [&](int64_t row) {
      return StridedMatrix{a.data + row * a.row, a.row, a.column};
    };
    for (; i + 6 <= rows; i += 6) {
      gemm_tile<6>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
    }
    for (; i + 2 <= rows; i += 2) {
      gemm_tile<2>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
    }
    if (i < rows) gemm_tile<1>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
  }
}

}  // namespace rankwise::kernels
