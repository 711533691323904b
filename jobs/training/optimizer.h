// AdamW on one flat float32 buffer, as torch.optim.AdamW computes it (decoupled weight decay; eps
// after the root).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rankwise {

struct AdamWOptions {
  double learning_rate = 5e-5, weight_decay = 0, adam_beta1 = 0.9, adam_beta2 = 0.999,
         adam_epsilon = 1e-8;
};

// A stretch of the flat buffer with its own settings.
struct ParameterGroup {
  int64_t begin = 0, end = 0;
  double learning_rate = 0, weight_decay = 0;
};

class AdamW {
 public:
  AdamW(int64_t elements, AdamWOptions options, std::vector<ParameterGroup> groups);
  // value and gradient: [elements] float32, contiguous. factor: the schedule's, on each group's
  // learning rate; clip: on the gradient.
  void step(at::Tensor& value, const at::Tensor& gradient, double factor, double clip);

  int64_t steps() const { return steps_; }
  // For checkpoints.
  at::Tensor& exp_avg() { return exp_avg_; }
  at::Tensor& exp_avg_sq() { return exp_avg_sq_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  AdamWOptions options_;
  std::vector<ParameterGroup> groups_;
  at::Tensor exp_avg_, exp_avg_sq_;  // [elements] float32
  int64_t steps_ = 0;
};

// L2 norm of a float32 tensor, summed in double in a fixed order: the same for any thread count.
double norm(const at::Tensor& values);

}  // namespace rankwise
