// Autograd nodes of decoders: RMS norm, rotary positions, gated activations.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/base/ops/kept.h"
#include "peft/base/ops/ops.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Normed {
  at::Tensor out, inverse;  // [.., C]; [rows]: 1 / √(mean x² + eps)
};

Normed rms_normed(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  const int64_t size = x.size(-1), rows = x.numel() / size;
  Normed made{at::empty_like(x), at::empty({rows}, x.options())};
  const kernels::RmsNormRows norm{weight.const_data_ptr<float>(), static_cast<float>(eps),
                                  static_cast<float>(offset)};
  over_rows(x, rows, [&](const auto& on, int64_t first, int64_t last) {
    on.rms_norm(norm, x.const_data_ptr<float>(), made.inverse.data_ptr<float>(),
                made.out.data_ptr<float>(), size, first, last);
  });
  return made;
}

struct RmsNormNode : Function<RmsNormNode> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps, double offset) {
    const Normed made = rms_normed(x, weight, eps, offset);
    context->save_for_backward({x, weight, made.inverse});
    context->saved_data["offset"] = offset;
    return made.out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const at::Tensor grad = grads[0].contiguous();
    at::Tensor grad_x = at::empty_like(x), grad_weight;
    const kernels::RmsNormRows norm{weight.const_data_ptr<float>(), 0,
                                    static_cast<float>(context->saved_data["offset"].toDouble())};
    over_rows(x, inverse.size(0), [&](const auto& on, int64_t first, int64_t last) {
      on.rms_norm_backward(norm, x.const_data_ptr<float>(), inverse.const_data_ptr<float>(),
                           grad.const_data_ptr<float>(), grad_x.data_ptr<float>(), x.size(-1),
                           first, last);
    });
    if (context->needs_input_grad(1)) {
      const at::Tensor normalized = x.reshape({-1, x.size(-1)}) * inverse.unsqueeze(1);
      grad_weight = (grad.reshape({-1, x.size(-1)}) * normalized).sum(0);
    }
    return {grad_x, grad_weight, at::Tensor(), at::Tensor()};
  }
};

at::Tensor rotated(const at::Tensor& x, const RotaryAngles& angles, float direction) {
  const int64_t half = angles.cosine.size(1), heads = x.size(1) / (2 * half);
  at::Tensor out = at::empty_like(x);
  over_rows(x, x.size(0), [&](const auto& on, int64_t first, int64_t last) {
    on.rotate(angles.cosine.const_data_ptr<float>(), angles.sine.const_data_ptr<float>(), direction,
              x.const_data_ptr<float>(), out.data_ptr<float>(), heads, half, first, last);
  });
  return out;
}

struct Rotary : Function<Rotary> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, RotaryAngles angles) {
    at::Tensor out = rotated(x, angles, 1);
    keep(context, std::move(angles));
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {rotated(grads[0].contiguous(), kept<RotaryAngles>(context), -1), at::Tensor()};
  }
};

struct Gated : Function<Gated> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up,
                            Activation activation) {
    context->save_for_backward({gate, up});
    keep(context, activation);
    return activation.forward(gate).mul_(up);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const Activation& activation = kept<Activation>(context);
    at::Tensor grad_up = activation.forward(saved[0]).mul_(grads[0]);
    return {activation.backward(grads[0] * saved[1], saved[0]), grad_up, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, double offset) {
  if (!at::GradMode::is_enabled()) return rms_normed(x.contiguous(), weight, eps, offset).out;
  return RmsNormNode::apply(x.contiguous(), weight, eps, offset);
}

at::Tensor rotary(const at::Tensor& x, const RotaryAngles& angles) {
  if (!at::GradMode::is_enabled()) return rotated(x.contiguous(), angles, 1);
  return Rotary::apply(x.contiguous(), angles);
}

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up, const Activation& activation) {
  if (!at::GradMode::is_enabled()) return activation.forward(gate).mul_(up);
  return Gated::apply(gate, up, activation);
}

}  // namespace rankwise
