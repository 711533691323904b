// The list of families. To add one: write its file, declare its Family here, add a line.
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <fmt/ranges.h>

#include "peft/base/family.h"

namespace rankwise {

extern const Family kBert;

namespace {

const Family* const kFamilies[] = {&kBert};

struct NamedActivation {
  const char* name;
  Activation function;
};

at::Tensor gelu_erf(const at::Tensor& x) { return at::gelu(x); }
at::Tensor gelu_tanh(const at::Tensor& x) { return at::gelu(x, "tanh"); }
at::Tensor relu(const at::Tensor& x) { return at::relu(x); }
at::Tensor silu(const at::Tensor& x) { return at::silu(x); }
at::Tensor tanh(const at::Tensor& x) { return at::tanh(x); }

constexpr NamedActivation kActivations[] = {
    {"gelu", gelu_erf}, {"gelu_new", gelu_tanh}, {"gelu_pytorch_tanh", gelu_tanh},
    {"relu", relu},     {"silu", silu},          {"swish", silu},
    {"tanh", tanh}};

}  // namespace

const Family& family_of(const Config& config) {
  const std::string type = config.text("model_type");
  std::vector<std::string> known;
  for (const Family* family : kFamilies) {
    if (type == family->model_type) return *family;
    known.push_back(family->model_type);
  }
  throw config.error("model_type",
                     fmt::format("is '{}'; supported are {}", type, fmt::join(known, ", ")));
}

Activation activation(const Config& config, const std::string& field,
                      const std::string& otherwise) {
  const std::string name = config.text(field, otherwise);
  for (const NamedActivation& entry : kActivations) {
    if (name == entry.name) return entry.function;
  }
  throw config.error(field, fmt::format("is '{}', an activation that is not supported", name));
}

}  // namespace rankwise
