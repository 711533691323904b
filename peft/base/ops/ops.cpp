// Autograd nodes around the kernels: what each keeps, and its gradient.
#include "peft/base/ops/ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/base/ops/cuda_attention.h"
#include "peft/base/ops/kept.h"
#include "peft/base/ops/product.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct FrozenLinear : Function<FrozenLinear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& bias, FrozenWeight weight) {
    context->saved_data["bias"] = bias.has_value();
    at::Tensor y = product(x, weight, bias.value_or(at::Tensor()));
    keep(context, std::move(weight));
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    at::Tensor grad_x, grad_bias;
    if (context->needs_input_grad(0))
      grad_x = product_backward(grads[0], kept<FrozenWeight>(context));
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(1)) {
      grad_bias = grads[0].sum(0);
    }
    return {grad_x, grad_bias, at::Tensor()};
  }
};

struct Dropout : Function<Dropout> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, DropoutCall call) {
    at::Tensor out = call(x);
    keep(context, std::move(call));
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {kept<DropoutCall>(context)(grads[0].contiguous()), at::Tensor()};
  }
};

struct AddLayerNorm : Function<AddLayerNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const std::optional<at::Tensor>& residual,
                            double eps, DropoutCall call) {
    const int64_t rows = x.size(0), size = x.size(1);
    at::Tensor normalized = at::empty_like(x), inverse = at::empty({rows}, x.options()),
               out = at::empty_like(x);
    const kernels::LayerNormRows norm{weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                                      static_cast<float>(eps)};
    const float* add = residual ? residual->const_data_ptr<float>() : nullptr;
    over_rows(x, rows, [&](const auto& on, int64_t first, int64_t last) {
      on.add_layer_norm(call.rows, norm, x.const_data_ptr<float>(), add,
                        normalized.data_ptr<float>(), inverse.data_ptr<float>(),
                        out.data_ptr<float>(), size, first, last);
    });
    context->save_for_backward({normalized, inverse, weight, bias});
    context->saved_data["residual"] = residual.has_value();
    keep(context, std::move(call));
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &normalized = saved[0], &inverse = saved[1], &weight = saved[2],
                     &bias = saved[3];
    const at::Tensor grad = grads[0].contiguous();
    const DropoutCall& call = kept<DropoutCall>(context);
    const bool dropped = call.active();
    at::Tensor grad_sum = at::empty_like(grad), grad_x = dropped ? at::empty_like(grad) : grad_sum;
    const kernels::LayerNormRows norm{weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                                      0};
    over_rows(grad, grad.size(0), [&](const auto& on, int64_t first, int64_t last) {
      on.add_layer_norm_backward(
          call.rows, norm, normalized.const_data_ptr<float>(), inverse.const_data_ptr<float>(),
          grad.const_data_ptr<float>(), grad_sum.data_ptr<float>(),
          dropped ? grad_x.data_ptr<float>() : nullptr, grad.size(1), first, last);
    });
    at::Tensor grad_weight, grad_bias, grad_residual;
    if (context->saved_data["residual"].toBool()) grad_residual = grad_sum;
    if (context->needs_input_grad(1)) grad_weight = (grad * normalized).sum(0);
    if (context->needs_input_grad(2)) grad_bias = grad.sum(0);
    return {grad_x, grad_weight, grad_bias, grad_residual, at::Tensor(), at::Tensor()};
  }
};

template <class Body>
void over_tasks(const kernels::AttentionPlan& plan, const Body& body) {
  at::parallel_for(0, plan.sequences() * plan.key_heads, 1, body);
}

Attended attended(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const kernels::AttentionPlan& plan) {
  if (query.is_cuda()) return attended_on_cuda(query, key, value, plan);
  at::Tensor out = at::zeros_like(query),
             log_sum = at::empty({query.size(0), plan.heads}, query.options());
  over_tasks(plan, [&](int64_t first, int64_t last) {
    kernels::attention_forward(plan, query.const_data_ptr<float>(), key.const_data_ptr<float>(),
                               value.const_data_ptr<float>(), out.data_ptr<float>(),
                               log_sum.data_ptr<float>(), first, last);
  });
  return {out, {query, key, value, log_sum}};
}

struct Attention : Function<Attention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            kernels::AttentionPlan plan) {
    Attended made = attended(query, key, value, plan);
    context->save_for_backward(std::move(made.kept));
    keep(context, std::move(plan));
    return made.out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    const kernels::AttentionPlan& plan = kept<kernels::AttentionPlan>(context);
    if (grad.is_cuda()) {
      const AttentionGradients made = attention_gradients_on_cuda(saved, grad, plan);
      return {made.query, made.key, made.value, at::Tensor()};
    }
    at::Tensor wanted[3];
    float* data[3] = {nullptr, nullptr, nullptr};
    for (int i = 0; i < 3; ++i) {
      if (!context->needs_input_grad(static_cast<size_t>(i))) continue;
      wanted[i] = at::zeros_like(saved[static_cast<size_t>(i)]);
      data[i] = wanted[i].data_ptr<float>();
    }
    over_tasks(plan, [&](int64_t first, int64_t last) {
      kernels::attention_backward(
          plan, saved[0].const_data_ptr<float>(), saved[1].const_data_ptr<float>(),
          saved[2].const_data_ptr<float>(), saved[3].const_data_ptr<float>(),
          grad.const_data_ptr<float>(), data[0], data[1], data[2], first, last);
    });
    return {wanted[0], wanted[1], wanted[2], at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const FrozenWeight& weight, const at::Tensor& bias) {
  if (weight.numbers.requires_grad()) return at::linear(x, weight.numbers, optional(bias));
  if (!at::GradMode::is_enabled()) return product(x, weight, bias);
  return FrozenLinear::apply(x, optional(bias), weight);
}

at::Tensor DropoutCall::operator()(const at::Tensor& x) const {
  if (!active()) return x;
  at::Tensor out = at::empty_like(x);
  over_rows(x, x.size(0), [&](const auto& on, int64_t first, int64_t last) {
    on.dropout(rows, x.const_data_ptr<float>(), out.data_ptr<float>(), x.size(1), first, last);
  });
  return out;
}

void DropoutCall::add_to(at::Tensor& sum, const at::Tensor& x) const {
  if (!active()) {
    sum.add_(x);
    return;
  }
  over_rows(x, x.size(0), [&](const auto& on, int64_t first, int64_t last) {
    on.add_dropout(rows, x.const_data_ptr<float>(), sum.data_ptr<float>(), x.size(1), first, last);
  });
}

at::Tensor dropout(const at::Tensor& x, const Pass& pass, const DropoutSite& site) {
  DropoutCall call(pass, site);
  return call.active() ? Dropout::apply(x.contiguous(), std::move(call)) : x;
}

at::Tensor add_layer_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                          const at::Tensor& bias, double eps, const Pass& pass,
                          const DropoutSite& site) {
  return AddLayerNorm::apply(x.contiguous(), weight, bias, optional(residual), eps,
                             DropoutCall(pass, site));
}

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const kernels::AttentionPlan& plan) {
  if (!at::GradMode::is_enabled())
    return attended(query.contiguous(), key.contiguous(), value.contiguous(), plan).out;
  return Attention::apply(query.contiguous(), key.contiguous(), value.contiguous(), plan);
}

}  // namespace rankwise
