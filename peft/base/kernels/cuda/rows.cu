// rows.h on a GPU: a block makes a row. Dropout's factors are the same bits as on the CPU.
#include "peft/base/kernels/cuda/launch.h"
#include "peft/base/kernels/rows.h"

namespace rankwise::kernels {
namespace {

__device__ StretchWords words_of(const RowDropout& dropout, int64_t row) {
  return philox(dropout.key, {dropout.site, dropout.rows[row], dropout.positions[row], 0});
}

// body(c) for each element of a row, shared among the block's threads.
template <class Body>
__device__ void over_elements(int64_t size, const Body& body) {
  for (int64_t c = threadIdx.x; c < size; c += kThreads) body(c);
}

template <bool add>
__global__ void drop(RowDropout dropout, const float* in, float* out, int64_t size, int64_t first) {
  const int64_t row = first + blockIdx.x;
  const StretchWords words = words_of(dropout, row);
  over_elements(size, [&](int64_t c) {
    const float dropped =
        in[row * size + c] * dropout_factor(words, static_cast<uint32_t>(c), dropout.rate);
    float& to = out[row * size + c];
    to = add ? to + dropped : dropped;
  });
}

__global__ void add_layer_norm(RowDropout dropout, LayerNormRows norm, const float* in,
                               const float* residual, float* normalized, float* inverse, float* out,
                               int64_t size, int64_t first) {
  const int64_t row = first + blockIdx.x;
  const float* from = in + row * size;
  float* sum = normalized + row * size;
  const bool drops = dropout.rate.active();
  const StretchWords words = drops ? words_of(dropout, row) : StretchWords{};
  float mean = 0, variance = 0;
  over_elements(size, [&](int64_t c) {
    float x = from[c];
    if (drops) x *= dropout_factor(words, static_cast<uint32_t>(c), dropout.rate);
    if (residual) x += residual[row * size + c];
    sum[c] = x;
    mean += x;
  });
  mean = over_block(mean, Plus()) / static_cast<float>(size);
  over_elements(size, [&](int64_t c) { variance += (sum[c] - mean) * (sum[c] - mean); });
  variance = over_block(variance, Plus());
  const float scale = 1 / sqrtf(variance / static_cast<float>(size) + norm.eps);
  if (threadIdx.x == 0) inverse[row] = scale;
  over_elements(size, [&](int64_t c) {
    sum[c] = (sum[c] - mean) * scale;
    out[row * size + c] = sum[c] * norm.weight[c] + norm.bias[c];
  });
}

__global__ void add_layer_norm_backward(RowDropout dropout, LayerNormRows norm,
                                        const float* normalized, const float* inverse,
                                        const float* grad_out, float* grad_residual, float* grad_in,
                                        int64_t size, int64_t first) {
  const int64_t row = first + blockIdx.x;
  const float* x = normalized + row * size;
  const float* grad = grad_out + row * size;
  float mean = 0, slope = 0;
  over_elements(size, [&](int64_t c) {
    mean += grad[c] * norm.weight[c];
    slope += grad[c] * norm.weight[c] * x[c];
  });
  mean = over_block(mean, Plus()) / static_cast<float>(size);
  slope = over_block(slope, Plus()) / static_cast<float>(size);
  const bool drops = dropout.rate.active();
  const StretchWords words = drops ? words_of(dropout, row) : StretchWords{};
  over_elements(size, [&](int64_t c) {
    const float made = (grad[c] * norm.weight[c] - mean - x[c] * slope) * inverse[row];
    grad_residual[row * size + c] = made;
    if (grad_in)
      grad_in[row * size + c] =
          drops ? made * dropout_factor(words, static_cast<uint32_t>(c), dropout.rate) : made;
  });
}

__global__ void rms_norm(RmsNormRows norm, const float* in, float* inverse, float* out,
                         int64_t size, int64_t first) {
  const int64_t row = first + blockIdx.x;
  const float* x = in + row * size;
  float square = 0;
  over_elements(size, [&](int64_t c) { square += x[c] * x[c]; });
  square = over_block(square, Plus());
  const float scale = 1 / sqrtf(square / static_cast<float>(size) + norm.eps);
  if (threadIdx.x == 0) inverse[row] = scale;
  over_elements(size, [&](int64_t c) {
    out[row * size + c] = x[c] * scale * (norm.offset + norm.weight[c]);
  });
}

__global__ void rms_norm_backward(RmsNormRows norm, const float* in, const float* inverse,
                                  const float* grad_out, float* grad_in, int64_t size,
                                  int64_t first) {
  const int64_t row = first + blockIdx.x;
  const float *x = in + row * size, *grad = grad_out + row * size;
  const float scale = inverse[row];
  float slope = 0;
  over_elements(size, [&](int64_t c) { slope += grad[c] * (norm.offset + norm.weight[c]) * x[c]; });
  slope = over_block(slope, Plus()) * scale * scale / static_cast<float>(size);
  over_elements(size, [&](int64_t c) {
    grad_in[row * size + c] = (grad[c] * (norm.offset + norm.weight[c]) - x[c] * slope) * scale;
  });
}

__global__ void rotate(const float* cosine, const float* sine, float direction, const float* in,
                       float* out, int64_t heads, int64_t half, int64_t first) {
  const int64_t row = first + blockIdx.x;
  over_elements(heads * half, [&](int64_t pair) {
    const int64_t i = pair % half, at = (row * heads + pair / half) * 2 * half + i;
    const float a = in[at], b = in[at + half];
    const float cos = cosine[row * half + i], sin = sine[row * half + i];
    out[at] = a * cos - direction * b * sin;
    out[at + half] = b * cos + direction * a * sin;
  });
}

// kernel(arguments …, size, first) for the rows first … last - 1.
template <class Kernel, class... Arguments>
void launch(const char* name, Kernel kernel, int64_t first, int64_t last, Arguments... arguments) {
  if (first == last) return;
  kernel<<<static_cast<unsigned>(last - first), kThreads>>>(arguments..., first);
  check_launch(name);
}

}  // namespace

const RowKernels kCudaRows = {
    [](const RowDropout& dropout, const float* in, float* out, int64_t size, int64_t first,
       int64_t last) { launch("dropout", drop<false>, first, last, dropout, in, out, size); },
    [](const RowDropout& dropout, const float* in, float* out, int64_t size, int64_t first,
       int64_t last) { launch("dropout", drop<true>, first, last, dropout, in, out, size); },
    [](const RowDropout& dropout, const LayerNormRows& norm, const float* in, const float* residual,
       float* normalized, float* inverse, float* out, int64_t size, int64_t first, int64_t last) {
      launch("layer norm", add_layer_norm, first, last, dropout, norm, in, residual, normalized,
             inverse, out, size);
    },
    [](const RowDropout& dropout, const LayerNormRows& norm, const float* normalized,
       const float* inverse, const float* grad_out, float* grad_residual, float* grad_in,
       int64_t size, int64_t first, int64_t last) {
      launch("layer norm's gradient", add_layer_norm_backward, first, last, dropout, norm,
             normalized, inverse, grad_out, grad_residual, grad_in, size);
    },
    [](const RmsNormRows& norm, const float* in, float* inverse, float* out, int64_t size,
       int64_t first,
       int64_t last) { launch("RMS norm", rms_norm, first, last, norm, in, inverse, out, size); },
    [](const RmsNormRows& norm, const float* in, const float* inverse, const float* grad_out,
       float* grad_in, int64_t size, int64_t first, int64_t last) {
      launch("RMS norm's gradient", rms_norm_backward, first, last, norm, in, inverse, grad_out,
             grad_in, size);
    },
    [](const float* cosine, const float* sine, float direction, const float* in, float* out,
       int64_t heads, int64_t half, int64_t first, int64_t last) {
      launch("rotary positions", rotate, first, last, cosine, sine, direction, in, out, heads,
             half);
    },
};

}  // namespace rankwise::kernels
