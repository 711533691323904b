// The differentiable functions that the families are made of. Each is one node of the autograd
// graph, keeps the least that its gradient needs, and works on packed rows [T, C] in float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "peft/base/kernels/attention.h"
#include "peft/base/ops/product.h"
#include "peft/base/pass.h"

namespace rankwise {

// A dropout place of the model: its number and its probability.
struct DropoutSite {
  uint32_t site = 0;
  double p = 0;
};

// y = x Wᵀ + b; bias and a weight of numbers may be trained. A frozen weight costs no gradient.
at::Tensor linear(const at::Tensor& x, const FrozenWeight& weight, const at::Tensor& bias);

at::Tensor dropout(const at::Tensor& x, const Pass& pass, const DropoutSite& site);

// norm(residual + dropout(x)); residual may be undefined. weight and bias [C] may be trained.
at::Tensor add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps, const Pass& pass,
                          const DropoutSite& site);

// x̂ · (offset + weight), x̂ = x / √(mean x² + eps) over the last dimension; weight [C] may be
// trained. x is any [.., C].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset);

// Rotary positions (Su et al., 2021) in Hugging Face's half-split form: the pair (x_i, x_{i+D/2})
// of each head is turned by angles[t, i]. x [T, H·D]; cosine, sine [T, D/2].
struct RotaryAngles {
  at::Tensor cosine, sine;
};
at::Tensor rotary(const at::Tensor& x, const RotaryAngles& angles);

// An activation with its gradient.
struct Activation {
  at::Tensor (*forward)(const at::Tensor& x);
  at::Tensor (*backward)(const at::Tensor& grad, const at::Tensor& x);
  at::Tensor operator()(const at::Tensor& x) const { return forward(x); }  // differentiable
};

// activation(gate) · up, one node; keeps its arguments only.
at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, const Activation& activation);

// layer(inputs), or with options().gradient_checkpointing the same computed again in the backward
// pass, so that only the inputs are kept meanwhile. Calls options().progressed both ways.
using LayerFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;
at::Tensor checkpointed(const Pass& pass, const std::vector<at::Tensor>& inputs,
                        LayerFunction layer);

// query [Tq, H·D], key and value [Tk, KH·D] → [Tq, H·D]; rows that belong to no sequence are 0.
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const kernels::AttentionPlan& plan);

}  // namespace rankwise
