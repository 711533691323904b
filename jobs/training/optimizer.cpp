// AdamW and the gradient norm on flat float32 buffers in CPU memory. Work is cut into chunks of a
// fixed size, so that no bit depends on the number of threads. "Decoupled Weight Decay
// Regularization", arXiv:1711.05101.
#include "jobs/training/optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

constexpr int64_t kChunk = 4096;
constexpr int64_t kChunksPerTask = 8;  // below this a thread costs more than it saves

// f(begin, end) for each chunk of [begin, end), on all threads.
template <class F>
void for_each_chunk(int64_t begin, int64_t end, const F& f) {
  const int64_t chunks = (end - begin + kChunk - 1) / kChunk;
  at::parallel_for(0, chunks, kChunksPerTask, [&](int64_t first, int64_t last) {
    for (int64_t chunk = first; chunk < last; ++chunk) {
      const int64_t chunk_begin = begin + chunk * kChunk;
      f(chunk_begin, std::min(chunk_begin + kChunk, end));
    }
  });
}

void check(const at::Tensor& tensor, const char* name, int64_t elements) {
  if (tensor.dtype() != at::kFloat || !tensor.is_contiguous() || !tensor.is_cpu() ||
      tensor.numel() != elements) {
    throw internal_error(
        "AdamW: {} is {} elements of {} on {}, expected {} contiguous of float on cpu", name,
        tensor.numel(), c10::toString(tensor.scalar_type()), tensor.device().str(), elements);
  }
}

// The scalars of one group's step; worked out in double, applied in float32.
struct StepScalars {
  float keep, clip, one_minus_beta1, beta2, one_minus_beta2, step_size, root_bias_correction2,
      epsilon;
};

void adamw_chunk(const StepScalars& k, int64_t elements, float* __restrict value,
                 const float* __restrict gradient, float* __restrict exp_avg,
                 float* __restrict exp_avg_sq) {
  for (int64_t i = 0; i < elements; ++i) {
    const float g = gradient[i] * k.clip;
    const float m = exp_avg[i] + k.one_minus_beta1 * (g - exp_avg[i]);
    const float v = exp_avg_sq[i] * k.beta2 + k.one_minus_beta2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    value[i] = value[i] * k.keep -
               k.step_size * (m / (std::sqrt(v) / k.root_bias_correction2 + k.epsilon));
  }
}

}  // namespace

AdamW::AdamW(int64_t elements, AdamWOptions options, std::vector<ParameterGroup> groups)
    : options_(options),
      groups_(std::move(groups)),
      exp_avg_(at::zeros({elements}, at::kFloat)),
      exp_avg_sq_(at::zeros({elements}, at::kFloat)) {
  for (const ParameterGroup& group : groups_) {
    if (group.begin < 0 || group.begin > group.end || group.end > elements) {
      throw internal_error("AdamW: group [{}, {}) of {} elements", group.begin, group.end,
                           elements);
    }
  }
}

void AdamW::step(at::Tensor& value, const at::Tensor& gradient, double factor, double clip) {
  check(value, "value", exp_avg_.numel());
  check(gradient, "gradient", exp_avg_.numel());
  ++steps_;
  const double beta1 = options_.adam_beta1, beta2 = options_.adam_beta2;
  const double bias_correction1 = 1 - std::pow(beta1, steps_),
               bias_correction2 = 1 - std::pow(beta2, steps_);
  float* values = value.mutable_data_ptr<float>();
  const float* gradients = gradient.const_data_ptr<float>();
  float* exp_avg = exp_avg_.mutable_data_ptr<float>();
  float* exp_avg_sq = exp_avg_sq_.mutable_data_ptr<float>();
  for (const ParameterGroup& group : groups_) {
    const double rate = factor * group.learning_rate;
    const auto f32 = [](double x) { return static_cast<float>(x); };
    const StepScalars scalars{.keep = f32(1 - rate * group.weight_decay),
                              .clip = f32(clip),
                              .one_minus_beta1 = f32(1 - beta1),
                              .beta2 = f32(beta2),
                              .one_minus_beta2 = f32(1 - beta2),
                              .step_size = f32(rate / bias_correction1),
                              .root_bias_correction2 = f32(std::sqrt(bias_correction2)),
                              .epsilon = f32(options_.adam_epsilon)};
    for_each_chunk(group.begin, group.end, [&](int64_t begin, int64_t end) {
      adamw_chunk(scalars, end - begin, values + begin, gradients + begin, exp_avg + begin,
                  exp_avg_sq + begin);
    });
  }
}

double norm(const at::Tensor& values) {
  const int64_t elements = values.numel();
  check(values, "gradient", elements);
  const float* data = values.const_data_ptr<float>();
  std::vector<double> chunk_sums((elements + kChunk - 1) / kChunk);
  for_each_chunk(0, elements, [&](int64_t begin, int64_t end) {
    chunk_sums[begin / kChunk] = std::accumulate(data + begin, data + end, 0.0,
                                                 [](double sum, double x) { return sum + x * x; });
  });
  return std::sqrt(std::accumulate(chunk_sums.begin(), chunk_sums.end(), 0.0));
}

}  // namespace rankwise
