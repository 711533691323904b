// The list of families. To add one: write its file, declare its Family here, add a line.
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/leaky_relu_backward.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tanh_backward.h>
#include <ATen/ops/threshold_backward.h>
#include <fmt/ranges.h>

#include "peft/base/family.h"

namespace rankwise {

extern const Family kBert, kDistilbert, kGemma2, kGpt2, kLlama, kMistral, kMt5, kOpt, kQwen2,
    kQwen3, kRoberta, kT5;

namespace {

const Family* const kFamilies[] = {&kBert, &kDistilbert, &kGemma2, &kGpt2,  &kLlama,   &kMistral,
                                   &kMt5,  &kOpt,        &kQwen2,  &kQwen3, &kRoberta, &kT5};

struct NamedActivation {
  const char* name;
  Activation function;
};

constexpr Activation kGelu = {
    [](const at::Tensor& x) { return at::gelu(x); },
    [](const at::Tensor& grad, const at::Tensor& x) { return at::gelu_backward(grad, x); }};
constexpr Activation kGeluTanh = {
    [](const at::Tensor& x) { return at::gelu(x, "tanh"); },
    [](const at::Tensor& grad, const at::Tensor& x) { return at::gelu_backward(grad, x, "tanh"); }};
constexpr Activation kRelu = {
    [](const at::Tensor& x) { return at::relu(x); },
    [](const at::Tensor& grad, const at::Tensor& x) { return at::threshold_backward(grad, x, 0); }};
constexpr Activation kSilu = {
    [](const at::Tensor& x) { return at::silu(x); },
    [](const at::Tensor& grad, const at::Tensor& x) { return at::silu_backward(grad, x); }};
constexpr Activation kTanh = {[](const at::Tensor& x) { return at::tanh(x); },
                              [](const at::Tensor& grad, const at::Tensor& x) {
                                return at::tanh_backward(grad, at::tanh(x));
                              }};

constexpr Activation kLeakyRelu = {[](const at::Tensor& x) { return at::leaky_relu(x); },
                                   [](const at::Tensor& grad, const at::Tensor& x) {
                                     return at::leaky_relu_backward(grad, x, 0.01, false);
                                   }};

constexpr NamedActivation kActivations[] = {
    {"gelu", kGelu},           {"gelu_new", kGeluTanh},    {"gelu_pytorch_tanh", kGeluTanh},
    {"leakyrelu", kLeakyRelu}, {"leaky_relu", kLeakyRelu}, {"relu", kRelu},
    {"silu", kSilu},           {"swish", kSilu},           {"tanh", kTanh}};

}  // namespace

std::string class_name(const Family& family, TaskType task) {
  const std::string prefix = family.class_prefix;
  switch (task) {
    case TaskType::kSeqCls:
      return prefix + "ForSequenceClassification";
    case TaskType::kTokenCls:
      return prefix + "ForTokenClassification";
    case TaskType::kQuestionAns:
      return prefix + "ForQuestionAnswering";
    case TaskType::kCausalLm:
      return prefix + (prefix == "GPT2" ? "LMHeadModel" : "ForCausalLM");
    case TaskType::kSeq2SeqLm:
      return prefix + "ForConditionalGeneration";
    default:
      return prefix + (prefix.ends_with("T5") ? "EncoderModel" : "Model");
  }
}

std::optional<int64_t> table_of_positions(const Config& config) {
  return config.integer("max_position_embeddings", config.integer("n_positions", 512));
}

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

const Activation& activation(std::string_view name) {
  for (const NamedActivation& entry : kActivations) {
    if (name == entry.name) return entry.function;
  }
  throw model_error("'{}' is an activation that is not supported", name);
}

const Activation& activation(const Config& config, const std::string& field,
                             const std::string& otherwise) {
  const std::string name = config.text(field, otherwise);
  for (const NamedActivation& entry : kActivations) {
    if (name == entry.name) return entry.function;
  }
  throw config.error(field, fmt::format("is '{}', an activation that is not supported", name));
}

}  // namespace rankwise
