// Each row is computed by itself in a fixed order, so that bits do not depend on threads.
#include "peft/base/kernels/rows.h"

#include <cmath>

namespace rankwise::kernels {
namespace {

RANKWISE_INLINE StretchWords words_of(const RowDropout& dropout, int64_t row) {
  return philox(dropout.key, {dropout.site, dropout.rows[row], dropout.positions[row], 0});
}

}  // namespace

RANKWISE_KERNEL void dropout_rows(const RowDropout& dropout, const float* in, float* out,
                                  int64_t size, int64_t first, int64_t last) {
  const DropoutRate rate = dropout.rate;
  for (int64_t row = first; row < last; ++row) {
    const StretchWords words = words_of(dropout, row);
    for (int64_t c = 0; c < size; ++c) {
      out[row * size + c] =
          in[row * size + c] * dropout_factor(words, static_cast<uint32_t>(c), rate);
    }
  }
}

RANKWISE_KERNEL void add_dropout_rows(const RowDropout& dropout, const float* in, float* out,
                                      int64_t size, int64_t first, int64_t last) {
  const DropoutRate rate = dropout.rate;
  for (int64_t row = first; row < last; ++row) {
    const StretchWords words = words_of(dropout, row);
    for (int64_t c = 0; c < size; ++c) {
      out[row * size + c] +=
          in[row * size + c] * dropout_factor(words, static_cast<uint32_t>(c), rate);
    }
  }
}

RANKWISE_KERNEL void add_layer_norm_rows(const RowDropout& dropout, const LayerNormRows& norm,
                                         const float* in, const float* residual, float* normalized,
                                         float* inverse, float* out, int64_t size, int64_t first,
                                         int64_t last) {
  const DropoutRate rate = dropout.rate;
  for (int64_t row = first; row < last; ++row) {
    const float* from = in + row * size;
    float* sum = normalized + row * size;
    if (rate.active()) {
      const StretchWords words = words_of(dropout, row);
      for (int64_t c = 0; c < size; ++c)
        sum[c] = from[c] * dropout_factor(words, static_cast<uint32_t>(c), rate);
    } else {
      for (int64_t c = 0; c < size; ++c) sum[c] = from[c];
    }
    if (residual) {
      for (int64_t c = 0; c < size; ++c) sum[c] += residual[row * size + c];
    }
    float mean = 0, variance = 0;
#pragma omp simd reduction(+ : mean)
    for (int64_t c = 0; c < size; ++c) mean += sum[c];
    mean /= static_cast<float>(size);
#pragma omp simd reduction(+ : variance)
    for (int64_t c = 0; c < size; ++c) variance += (sum[c] - mean) * (sum[c] - mean);
    const float scale = 1 / std::sqrt(variance / static_cast<float>(size) + norm.eps);
    inverse[row] = scale;
    for (int64_t c = 0; c < size; ++c) {
      sum[c] = (sum[c] - mean) * scale;
      out[row * size + c] = sum[c] * norm.weight[c] + norm.bias[c];
    }
  }
}

RANKWISE_KERNEL void add_layer_norm_backward_rows(const RowDropout& dropout,
                                                  const LayerNormRows& norm,
                                                  const float* normalized, const float* inverse,
                                                  const float* grad_out, float* grad_residual,
                                                  float* grad_in, int64_t size, int64_t first,
                                                  int64_t last) {
  const DropoutRate rate = dropout.rate;
  for (int64_t row = first; row < last; ++row) {
    const float* x = normalized + row * size;
    const float* grad = grad_out + row * size;
    float* to = grad_residual + row * size;
    float mean = 0, slope = 0;
#pragma omp simd reduction(+ : mean, slope)
    for (int64_t c = 0; c < size; ++c) {
      mean += grad[c] * norm.weight[c];
      slope += grad[c] * norm.weight[c] * x[c];
    }
    mean /= static_cast<float>(size);
    slope /= static_cast<float>(size);
    for (int64_t c = 0; c < size; ++c)
      to[c] = (grad[c] * norm.weight[c] - mean - x[c] * slope) * inverse[row];
    if (!grad_in) continue;
    if (rate.active()) {
      const StretchWords words = words_of(dropout, row);
      for (int64_t c = 0; c < size; ++c)
        grad_in[row * size + c] = to[c] * dropout_factor(words, static_cast<uint32_t>(c), rate);
    } else {
      for (int64_t c = 0; c < size; ++c) grad_in[row * size + c] = to[c];
    }
  }
}

RANKWISE_KERNEL void rms_norm_rows(const RmsNormRows& norm, const float* in, float* inverse,
                                   float* out, int64_t size, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const float* x = in + row * size;
    float square = 0;
#pragma omp simd reduction(+ : square)
    for (int64_t c = 0; c < size; ++c) square += x[c] * x[c];
    const float scale = 1 / std::sqrt(square / static_cast<float>(size) + norm.eps);
    inverse[row] = scale;
    for (int64_t c = 0; c < size; ++c)
      out[row * size + c] = x[c] * scale * (norm.offset + norm.weight[c]);
  }
}

RANKWISE_KERNEL void rms_norm_backward_rows(const RmsNormRows& norm, const float* in,
                                            const float* inverse, const float* grad_out,
                                            float* grad_in, int64_t size, int64_t first,
                                            int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const float *x = in + row * size, *grad = grad_out + row * size;
    const float scale = inverse[row];
    float slope = 0;
#pragma omp simd reduction(+ : slope)
    for (int64_t c = 0; c < size; ++c) slope += grad[c] * (norm.offset + norm.weight[c]) * x[c];
    slope *= scale * scale / static_cast<float>(size);
    for (int64_t c = 0; c < size; ++c)
      grad_in[row * size + c] = (grad[c] * (norm.offset + norm.weight[c]) - x[c] * slope) * scale;
  }
}

RANKWISE_KERNEL void rotate_rows(const float* cosine, const float* sine, float direction,
                                 const float* in, float* out, int64_t heads, int64_t half,
                                 int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const float *cos = cosine + row * half, *sin = sine + row * half;
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t at = (row * heads + head) * 2 * half;
      const float *a = in + at, *b = a + half;
      for (int64_t i = 0; i < half; ++i) out[at + i] = a[i] * cos[i] - direction * b[i] * sin[i];
      for (int64_t i = 0; i < half; ++i)
        out[at + half + i] = b[i] * cos[i] + direction * a[i] * sin[i];
    }
  }
}

const RowKernels kCpuRows = {
    dropout_rows,  add_dropout_rows,       add_layer_norm_rows, add_layer_norm_backward_rows,
    rms_norm_rows, rms_norm_backward_rows, rotate_rows};

}  // namespace rankwise::kernels
