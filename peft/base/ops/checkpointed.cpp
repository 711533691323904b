// Gradient checkpointing (Chen et al., 2016): a layer keeps its inputs only and is computed again
// in the backward pass. Dropout is a pure function of places, so the second time gives the same
// bits.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "peft/base/ops/kept.h"
#include "peft/base/ops/ops.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Checkpointed : Function<Checkpointed> {
  // `anchor` requires a gradient, so that the node is in the graph even where no input does.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& anchor,
                            at::TensorList inputs, LayerFunction layer) {
    at::NoGradGuard no_grad;
    at::Tensor out = layer(inputs.vec());
    variable_list saved;
    for (const at::Tensor& input : inputs) saved.push_back(input.detach());
    context->save_for_backward(saved);
    keep(context, std::move(layer));
    return out;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& saved : context->get_saved_variables())
      inputs.push_back(saved.detach().set_requires_grad(true));
    at::AutoGradMode with_grad(true);
    const at::Tensor out = kept<LayerFunction>(context)(inputs);
    torch::autograd::backward({out}, {grads[0]});
    variable_list result = {at::Tensor()};
    for (const at::Tensor& input : inputs) result.push_back(input.grad());
    result.emplace_back();
    return result;
  }
};

at::Tensor computed(const Pass& pass, const std::vector<at::Tensor>& inputs, LayerFunction layer) {
  if (!pass.options().gradient_checkpointing || !at::GradMode::is_enabled()) return layer(inputs);
  const at::Tensor anchor = at::empty({0}).set_requires_grad(true);
  return Checkpointed::apply(anchor, at::TensorList(inputs), std::move(layer));
}

}  // namespace

at::Tensor checkpointed(const Pass& pass, const std::vector<at::Tensor>& inputs,
                        LayerFunction layer) {
  at::Tensor out = computed(pass, inputs, std::move(layer));
  if (const std::function<void()>* progressed = pass.options().progressed) {
    (*progressed)();
    if (out.requires_grad())
      out.register_hook([progressed](const at::Tensor&) { (*progressed)(); });
  }
  return out;
}

}  // namespace rankwise
