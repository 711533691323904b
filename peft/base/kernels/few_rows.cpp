// Tiles of dot products: some rows of the weight times some rows of x in registers.
#include "peft/base/kernels/few_rows.h"

#include "peft/base/kernels/clones.h"
#include "peft/base/kernels/gemm.h"

namespace rankwise::kernels {
namespace {

RANKWISE_INLINE float sum_of(Float8 v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// Part of the next tile, to be fetched while this one is computed: memory is never idle.
struct Ahead {
  const float* at;
  int64_t step;  // numbers, while 8 of a row are computed
};

// y[row, column] for kColumns rows of the weight and kRows rows of x.
template <int kColumns, int kRows>
RANKWISE_INLINE void dot_tile(const float* x, const float* weight, int64_t in, float* y,
                              int64_t out, Ahead ahead) {
  Float8 sum[kColumns][kRows] = {};
  int64_t k = 0;
  for (; k + 8 <= in; k += 8, ahead.at += ahead.step) {
    __builtin_prefetch(ahead.at);
    __builtin_prefetch(ahead.at + 16);
    for (int c = 0; c < kColumns; ++c) {
      const Float8 w = *reinterpret_cast<const Float8*>(weight + c * in + k);
      for (int r = 0; r < kRows; ++r)
        sum[c][r] += w * *reinterpret_cast<const Float8*>(x + r * in + k);
    }
  }
  for (int c = 0; c < kColumns; ++c) {
    for (int r = 0; r < kRows; ++r) {
      float total = sum_of(sum[c][r]);
      for (int64_t rest = k; rest < in; ++rest) total += weight[c * in + rest] * x[r * in + rest];
      y[r * out + c] = total;
    }
  }
}

// One row of x, in the same order of sums: rows of the weight one after the other are the one
// stream that processors fetch ahead best by themselves.
RANKWISE_INLINE float dot_row(const float* x, const float* weight, int64_t in) {
  Float8 sum = {};
  int64_t k = 0;
  for (; k + 8 <= in; k += 8)
    sum += *reinterpret_cast<const Float8*>(weight + k) * *reinterpret_cast<const Float8*>(x + k);
  float total = sum_of(sum);
  for (; k < in; ++k) total += weight[k] * x[k];
  return total;
}

template <int kColumns>
RANKWISE_INLINE void dot_columns(const float* x, int64_t rows, const float* weight, int64_t in,
                                 float* y, int64_t out) {
  const int64_t tiles = rows / 4 + rows % 4 / 2 + rows % 2;
  Ahead ahead{weight + kColumns * in, 8 * kColumns / tiles};
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4, ahead.at += ahead.step * (in / 8))
    dot_tile<kColumns, 4>(x + r * in, weight, in, y + r * out, out, ahead);
  for (; r + 2 <= rows; r += 2, ahead.at += ahead.step * (in / 8))
    dot_tile<kColumns, 2>(x + r * in, weight, in, y + r * out, out, ahead);
  if (r < rows) dot_tile<kColumns, 1>(x + r * in, weight, in, y + r * out, out, ahead);
}

}  // namespace

RANKWISE_KERNEL
void few_rows_product(const float* x, int64_t rows, int64_t in, const float* weight, float* y,
                      int64_t out, int64_t first, int64_t last) {
  int64_t column = first;
  if (rows == 1) {
    for (; column < last; ++column) y[column] = dot_row(x, weight + column * in, in);
  }
  for (; column + 3 <= last; column += 3)
    dot_columns<3>(x, rows, weight + column * in, in, y + column, out);
  for (; column < last; ++column)
    dot_columns<1>(x, rows, weight + column * in, in, y + column, out);
}

}  // namespace rankwise::kernels
