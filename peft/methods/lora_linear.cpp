// The products of LoRA and DoRA and their gradients.
#include "peft/methods/lora_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/base/ops/kept.h"
#include "peft/base/ops/product.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct LoraCall {
  DropoutCall dropout;
  double scale;
  FrozenWeight weight;
  at::Tensor taken_a, taken_b;
};

struct LoraLinear : Function<LoraLinear> {
  // x [T, in], a [R, in], b [out, R]
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& a,
                            const at::Tensor& b, const std::optional<at::Tensor>& bias,
                            LoraCall call) {
    const at::Tensor small = at::linear(call.dropout(x), a);  // [T, R]
    at::Tensor y = product(x, call.weight, bias.value_or(at::Tensor()));
    context->saved_data["bias"] = bias.has_value();
    y.addmm_(small, b.t(), 1, call.scale);
    if (call.taken_a.defined())
      y.addmm_(at::linear(x, call.taken_a), call.taken_b.t(), 1, -call.scale);
    context->save_for_backward({x, a, b, small});
    keep(context, std::move(call));
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &a = saved[1], &b = saved[2], &small = saved[3];
    const at::Tensor grad = grads[0].contiguous();
    const LoraCall& call = kept<LoraCall>(context);
    const at::Tensor grad_small = at::mm(grad, b).mul_(call.scale);      // [T, R]
    const at::Tensor grad_a = at::mm(grad_small.t(), call.dropout(x));   // [R, in]
    const at::Tensor grad_b = at::mm(grad.t(), small).mul_(call.scale);  // [out, R]
    at::Tensor grad_x, grad_bias;
    if (context->needs_input_grad(0)) {
      grad_x = product_backward(grad, call.weight);
      if (call.taken_a.defined())
        grad_x.addmm_(at::mm(grad, call.taken_b), call.taken_a, 1, -call.scale);
      call.dropout.add_to(grad_x, at::mm(grad_small, a));
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(3))
      grad_bias = grad.sum(0);
    return {grad_x, grad_a, grad_b, grad_bias, at::Tensor()};
  }
};

struct DoraCall {
  DropoutCall dropout;
  double scale;
  FrozenWeight weight;
  at::Tensor norms;  // [out]
};

struct DoraLinear : Function<DoraLinear> {
  // As LoraLinear; magnitude [out]
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& a,
                            const at::Tensor& b, const at::Tensor& magnitude,
                            const std::optional<at::Tensor>& bias, DoraCall call) {
    const at::Tensor dropped = call.dropout(x);
    const at::Tensor small = at::linear(dropped, a);  // [T, R]
    const at::Tensor base = product(dropped, call.weight, at::Tensor());
    const at::Tensor direction = at::addmm(base, small, b.t(), 1, call.scale);  // [T, out]
    at::Tensor y = direction * (magnitude / call.norms);
    if (call.dropout.active()) y += product(x, call.weight, at::Tensor()) - base;
    if (bias) y += *bias;
    context->saved_data["bias"] = bias.has_value();
    context->save_for_backward({x, a, b, magnitude, small, direction});
    keep(context, std::move(call));
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &a = saved[1], &b = saved[2], &magnitude = saved[3],
                     &small = saved[4], &direction = saved[5];
    const at::Tensor grad = grads[0].contiguous();
    const DoraCall& call = kept<DoraCall>(context);
    const at::Tensor grad_direction = grad * (magnitude / call.norms);
    const at::Tensor grad_magnitude = (grad * direction).sum(0) / call.norms;
    const at::Tensor grad_small = at::mm(grad_direction, b).mul_(call.scale);
    const at::Tensor grad_a = at::mm(grad_small.t(), call.dropout(x));
    const at::Tensor grad_b = at::mm(grad_direction.t(), small).mul_(call.scale);
    at::Tensor grad_x, grad_bias;
    if (context->needs_input_grad(0)) {
      at::Tensor grad_dropped = at::mm(grad_small, a);
      if (call.dropout.active()) {
        grad_x = product_backward(grad, call.weight);
        grad_dropped += product_backward(grad_direction - grad, call.weight);
      } else {
        grad_x = product_backward(grad_direction, call.weight);
      }
      call.dropout.add_to(grad_x, grad_dropped);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(4))
      grad_bias = grad.sum(0);
    return {grad_x, grad_a, grad_b, grad_magnitude, grad_bias, at::Tensor()};
  }
};

at::Tensor there(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.defined() ? tensor.to(like.device()) : tensor;
}

}  // namespace

at::Tensor LoraAdapter::forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const {
  const DropoutCall dropped(pass, {site, dropout});
  if (beneath) {
    const at::Tensor y = at::linear(at::linear(dropped(x), a), b);
    const at::Tensor own = b_bias.defined() ? y + b_bias : y;
    return beneath->forward(linear, x, pass) + own * scale;
  }
  if (!magnitude.defined()) {
    const at::Tensor y = LoraLinear::apply(
        x.contiguous(), a, b, optional(linear.bias),
        LoraCall{dropped, scale, linear.frozen(), there(taken_a, x), there(taken_b, x)});
    return b_bias.defined() ? y + b_bias * scale : y;
  }
  return DoraLinear::apply(x.contiguous(), a, b, magnitude, optional(linear.bias),
                           DoraCall{dropped, scale, linear.frozen(), row_norms(linear)});
}

// ‖w + s·d‖² = ‖w‖² + 2s·w·d + s²‖d‖² for each row, so that W + s·B A is never made.
at::Tensor LoraAdapter::row_norms(const Linear& linear) const {
  at::NoGradGuard no_grad;
  const at::Tensor with_weight = product(a, linear.frozen(), at::Tensor()).t();  // W Aᵀ, [out, R]
  const at::Tensor among = at::mm(b, at::mm(a, a.t()));                          // [out, R]
  return (squares.to(b.device()) +
          ((2 * scale) * with_weight + (scale * scale) * among).mul_(b).sum(1))
      .sqrt();
}

void LoraAdapter::take(at::Tensor new_a, at::Tensor new_b) {
  a = new_a.contiguous();
  b = new_b.contiguous();
  taken_a = a.clone();
  taken_b = b.clone();
}

void LoraAdapter::take_principal_part(const Linear& linear, int64_t rank) {
  at::NoGradGuard no_grad;
  const auto [left, values, right] = at::linalg_svd(linear.frozen().unpacked(), false);
  const at::Tensor roots = (values.narrow(0, 0, rank) / scale).sqrt();
  take(right.narrow(0, 0, rank) * roots.unsqueeze(1), left.narrow(1, 0, rank) * roots);
}

void LoraAdapter::take_first_columns(const Linear& linear, int64_t rank) {
  at::NoGradGuard no_grad;
  const auto [q, r] = at::linalg_qr(linear.frozen().unpacked());
  take(r.narrow(0, 0, rank), q.narrow(1, 0, rank));
}

void LoraAdapter::add_magnitude(const Linear& linear) {
  at::NoGradGuard no_grad;
  const FrozenWeight weight = linear.frozen();
  squares = weight.unpacked().square().sum(1);
  magnitude = weight.shape_only() ? at::empty({linear.out()}) : row_norms(linear);
  magnitude.set_requires_grad(true);
}

at::Tensor LoraAdapter::merged(const Linear& linear) const {
  at::NoGradGuard no_grad;
  at::Tensor update = at::mm(b.to(at::kDouble), a.to(at::kDouble));
  if (taken_a.defined()) update -= at::mm(taken_b.to(at::kDouble), taken_a.to(at::kDouble));
  const at::Tensor sum = linear.frozen().unpacked() + update.mul_(scale).to(at::kFloat);
  return magnitude.defined() ? sum * (magnitude / row_norms(linear)).unsqueeze(1) : sum;
}

}  // namespace rankwise
