// Kernels on rows [first, last) of packed hidden states: dropout, residual sums, layer norm, and
// their gradients.
#pragma once

#include <cstdint>

#include "peft/base/kernels/random.h"

namespace rankwise::kernels {

// Where the randomness of each row comes from.
struct RowDropout {
  PhiloxKey key;
  uint32_t site = 0;
  DropoutRate rate{0};
  const uint32_t* rows = nullptr;       // [T] dataset row
  const uint32_t* positions = nullptr;  // [T] position in it
};

// out = dropout(in); out may be in.
void dropout_rows(const RowDropout& dropout, const float* in, float* out, int64_t size,
                  int64_t first, int64_t last);
// out += dropout(in): the same factors on another row, for gradients.
void add_dropout_rows(const RowDropout& dropout, const float* in, float* out, int64_t size,
                      int64_t first, int64_t last);

struct LayerNormRows {
  const float* weight;
  const float* bias;
  float eps;
};

// out = norm(residual + dropout(in)); normalized = that before weight and bias; inverse [T] = 1 /
// √(variance + eps). residual may be null.
void add_layer_norm_rows(const RowDropout& dropout, const LayerNormRows& norm, const float* in,
                         const float* residual, float* normalized, float* inverse, float* out,
                         int64_t size, int64_t first, int64_t last);
// grad_residual = gradient of the sum; grad_in = dropout of that (may be null).
void add_layer_norm_backward_rows(const RowDropout& dropout, const LayerNormRows& norm,
                                  const float* normalized, const float* inverse,
                                  const float* grad_out, float* grad_residual, float* grad_in,
                                  int64_t size, int64_t first, int64_t last);

// out = x̂ · (offset + weight), x̂ = in · inverse, inverse [rows] = 1 / √(mean in² + eps).
struct RmsNormRows {
  const float* weight;
  float eps, offset;
};
void rms_norm_rows(const RmsNormRows& norm, const float* in, float* inverse, float* out,
                   int64_t size, int64_t first, int64_t last);
void rms_norm_backward_rows(const RmsNormRows& norm, const float* in, const float* inverse,
                            const float* grad_out, float* grad_in, int64_t size, int64_t first,
                            int64_t last);

// Turns the pairs (i, i + half) of each of `heads` heads of a row by the row's angles; direction -1
// turns back.
void rotate_rows(const float* cosine, const float* sine, float direction, const float* in,
                 float* out, int64_t heads, int64_t half, int64_t first, int64_t last);

// The same functions where the rows are. On CUDA all pointers but those of the arguments themselves
// are the device's; a call starts the work on the default stream and returns. Errors: kMachine.
struct RowKernels {
  decltype(&dropout_rows) dropout;
  decltype(&add_dropout_rows) add_dropout;
  decltype(&add_layer_norm_rows) add_layer_norm;
  decltype(&add_layer_norm_backward_rows) add_layer_norm_backward;
  decltype(&rms_norm_rows) rms_norm;
  decltype(&rms_norm_backward_rows) rms_norm_backward;
  decltype(&rotate_rows) rotate;
};
extern const RowKernels kCpuRows;
extern const RowKernels kCudaRows;  // null where cuda_problem() (cuda/device.h) is not empty

}  // namespace rankwise::kernels
