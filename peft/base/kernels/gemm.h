// A small matrix product for the inside of other kernels: C = A B or C += A B, where a library call
// would cost more than the product. Columns come in multiples of 16 (callers pad their buffers).
// Not for the model's linears.
#pragma once

#include <cstdint>
#include <type_traits>

#include "peft/base/kernels/clones.h"

namespace rankwise::kernels {

inline constexpr int64_t kColumns = 16;  // of a tile
inline constexpr int64_t padded(int64_t n) { return (n + kColumns - 1) / kColumns * kColumns; }

typedef float Float8 __attribute__((vector_size(32), aligned(4), may_alias));

// Vectors by their width; a template's argument would lose the attributes.
struct Narrow {
  typedef float Vector __attribute__((vector_size(32), aligned(4), may_alias));
};
struct Wide {
  typedef float Vector __attribute__((vector_size(64), aligned(4), may_alias));
};

// Element (i, k) of A is at a[i * row + k * column], so that a transposed A costs nothing.
struct StridedMatrix {
  const float* data;
  int64_t row, column;
};

// One tile of C: kRows rows of 16 columns, in vectors of this width.
template <class Width, int kRows>
RANKWISE_INLINE void gemm_tile(StridedMatrix a, const float* b, int64_t b_stride, float* c,
                               int64_t c_stride, int64_t depth, bool add) {
  using Vector = typename Width::Vector;
  constexpr int kWidth = sizeof(Vector) / sizeof(float), kVectors = kColumns / kWidth;
  Vector sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    for (int part = 0; part < kVectors; ++part) {
      const float* from = c + i * c_stride + kWidth * part;
      sum[i][part] = add ? *reinterpret_cast<const Vector*>(from) : Vector{};
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    Vector row[kVectors];
    for (int part = 0; part < kVectors; ++part)
      row[part] = *reinterpret_cast<const Vector*>(b + k * b_stride + kWidth * part);
    for (int i = 0; i < kRows; ++i) {
      const float factor = a.data[i * a.row + k * a.column];
      for (int part = 0; part < kVectors; ++part) sum[i][part] += row[part] * factor;
    }
  }
  for (int i = 0; i < kRows; ++i) {
    for (int part = 0; part < kVectors; ++part)
      *reinterpret_cast<Vector*>(c + i * c_stride + kWidth * part) = sum[i][part];
  }
}

// C [rows, columns] (+)= A [rows, depth] B [depth, columns]; columns a multiple of 16. Every
// element is summed in the order of k, so kWide changes no bit.
template <bool kWide>
RANKWISE_INLINE void gemm(int64_t rows, int64_t columns, int64_t depth, StridedMatrix a,
                          const float* b, int64_t b_stride, float* c, int64_t c_stride, bool add) {
  using Width = std::conditional_t<kWide, Wide, Narrow>;
  for (int64_t j = 0; j < columns; j += kColumns) {
    int64_t i = 0;
    const auto at = [&](int64_t row) {
      return StridedMatrix{a.data + row * a.row, a.row, a.column};
    };
    if constexpr (kWide) {
      for (; i + 12 <= rows; i += 12)
        gemm_tile<Width, 12>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
    }
    for (; i + 6 <= rows; i += 6)
      gemm_tile<Width, 6>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
    for (; i + 2 <= rows; i += 2)
      gemm_tile<Width, 2>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
    if (i < rows)
      gemm_tile<Width, 1>(at(i), b + j, b_stride, c + i * c_stride + j, c_stride, depth, add);
  }
}

}  // namespace rankwise::kernels
