// A parameter that trains is a float32 copy in the place of the shared one.
#include "peft/methods/trained_base.h"

#include <ATen/ops/zeros.h>

#include <algorithm>

#include "peft/methods/targets.h"

namespace rankwise {
namespace {

std::string module_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.'));
}

bool is_norm(const std::string& parameter) {
  std::string lower = parameter;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return lower.find("norm") != std::string::npos;
}

void train(const NamedTensor& parameter, const std::string& name, bool extra,
           std::vector<Trainable>& trainables) {
  at::Tensor& tensor = *parameter.tensor;
  if (tensor.requires_grad())
    throw usage_error("'{}' has been trained by another adapter already", parameter.path);
  if (parameter.blocks && parameter.blocks->bytes.defined()) {
    tensor = unpacked(*parameter.blocks);
    *parameter.blocks = {};
  }
  const at::ScalarType held = tensor.scalar_type();
  tensor = tensor.to(at::kFloat).clone(at::MemoryFormat::Contiguous).set_requires_grad(true);
  trainables.push_back(
      {name, tensor, !(parameter.path.ends_with("bias") || is_norm(parameter.path)), extra, held});
}

}  // namespace

void check_modules(const Sites& sites, const std::vector<std::string>& asked_for) {
  for (const std::string& name : asked_for) {
    const bool found =
        std::any_of(sites.tensors.begin(), sites.tensors.end(), [&](const NamedTensor& parameter) {
          return is_saved_module({name}, module_of(parameter.path));
        });
    if (!found) throw usage_error("--modules_to_save: no module's name ends with '{}'", name);
  }
}

void train_modules(Sites& sites, const std::vector<std::string>& modules,
                   std::vector<Trainable>& trainables, const std::string& prefix) {
  for (const NamedTensor& parameter : sites.tensors) {
    if (!is_saved_module(modules, module_of(parameter.path))) continue;
    train(parameter, prefix + parameter.path, true, trainables);
  }
}

void train_biases(Sites& sites, const std::string& which, const std::vector<Linear*>& adapted,
                  std::vector<Trainable>& trainables) {
  if (which == "none") return;
  for (const NamedTensor& parameter : sites.tensors) {
    if (!parameter.path.ends_with(".bias") || parameter.tensor->requires_grad()) continue;
    const std::string module = module_of(parameter.path);
    const bool is_adapted = std::any_of(adapted.begin(), adapted.end(), [&](const Linear* linear) {
      return linear->path == module;
    });
    if (which != "all" && !is_adapted) continue;
    train(parameter,
          fmt::format("base_model.model.{}{}.bias", module, is_adapted ? ".base_layer" : ""), false,
          trainables);
  }
}

}  // namespace rankwise
