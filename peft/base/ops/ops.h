// The differentiable functions that the families are made of. Each is one node of the autograd
// graph, keeps the least that its gradient needs, and works on packed rows [T, C] in float32.
#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/kernels/attention.h"
#include "peft/base/pass.h"

namespace rankwise {

// A dropout place of the model: its number and its probability.
struct DropoutSite {
  uint32_t site = 0;
  double p = 0;
};

// y = x Wᵀ + b; weight and bias may be trained. A frozen weight costs no gradient.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

at::Tensor dropout(const at::Tensor& x, const Pass& pass, const DropoutSite& site);

// norm(residual + dropout(x)); residual may be undefined. weight and bias [C] may be trained.
at::Tensor add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps, const Pass& pass,
                          const DropoutSite& site);

// query [Tq, H·D], key and value [Tk, KH·D] → [Tq, H·D]; rows that belong to no sequence are 0.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const kernels::AttentionPlan& plan);

}  // namespace rankwise
