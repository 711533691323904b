// LoRA: y = W x + b + s · B A dropout(x) (Hu et al., 2021; peft's tuners/lora). One node of the
// graph a linear.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <deque>

#include "peft/base/draw.h"
#include "peft/base/ops/kept.h"
#include "peft/base/ops/product.h"
#include "peft/methods/method.h"
#include "peft/methods/targets.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct LoraCall {
  DropoutCall dropout;
  double scale;
  FrozenWeight weight;
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
      call.dropout.add_to(grad_x, at::mm(grad_small, a));
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(3))
      grad_bias = grad.sum(0);
    return {grad_x, grad_a, grad_b, grad_bias, at::Tensor()};
  }
};

struct LoraAdapter : LinearAdapter {
  at::Tensor a, b;  // [R, in], [out, R]
  double scale = 1, dropout = 0;
  uint32_t site = 0;

  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const override {
    return LoraLinear::apply(x.contiguous(), a, b, optional(linear.bias),
                             LoraCall{DropoutCall(pass, {site, dropout}), scale, linear.frozen()});
  }
};

// peft's constants.py: TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
const std::vector<std::pair<std::string, std::vector<std::string>>> kDefaultTargets = {
    {"bert", {"query", "value"}},
    {"gemma2", {"q_proj", "v_proj"}},
    {"gpt2", {"c_attn"}},
    {"llama", {"q_proj", "v_proj"}},
    {"mistral", {"q_proj", "v_proj"}},
    {"mt5", {"q", "v"}},
    {"opt", {"q_proj", "v_proj"}},
    {"qwen2", {"q_proj", "v_proj"}},
    {"qwen3", {"q_proj", "v_proj"}},
    {"roberta", {"query", "value"}},
    {"t5", {"q", "v"}},
};

std::vector<std::string> default_targets(const std::string& model_type) {
  for (const auto& [type, names] : kDefaultTargets) {
    if (type == model_type) return names;
  }
  throw usage_error("--target_modules must be given: peft has no default for '{}'", model_type);
}

class Lora : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("LoRA");
    fields.add("r", r_, "rank of the low-rank pair").at_least(1).changes_result();
    fields.add("lora_alpha", alpha_, "the pair is scaled by lora_alpha / r").changes_result();
    fields.add("lora_dropout", dropout_, "dropout on the pair's input")
        .at_least(0)
        .less_than(1)
        .changes_result();
    fields.add("target_modules", target_, "names, one regular expression, or all-linear")
        .default_text("by family")
        .changes_result();
    fields.add("exclude_modules", exclude_, "names or one regular expression to leave out")
        .changes_result();
    fields.add("layers_to_transform", layers_, "numbers of the layers to act on")
        .default_text("all")
        .changes_result();
    fields.add("rank_pattern", rank_pattern_, "JSON: module name or expression → r")
        .changes_result();
    fields.add("alpha_pattern", alpha_pattern_, "JSON: module name or expression → lora_alpha")
        .changes_result();
    fields.add("use_rslora", rslora_, "scale by lora_alpha / √r").changes_result();
    fields.add("bias", bias_, "biases that train")
        .one_of({"none", "all", "lora_only"})
        .changes_result();
    fields.add("init_lora_weights", init_, "true: B is 0; false: neither is; gaussian: A is normal")
        .one_of({"true", "false", "gaussian"})
        .changes_result();
    fields
        .add("modules_to_save", modules_to_save_, "further modules that train and are saved whole")
        .changes_result();
  }

  void read_config(const Json& config) override;
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Target> targets() const override;
  void merge_into(Sites& sites) override;
  bool ignores(const std::string& name) const override {
    return bias_ == "all" && (name.find(".modules_to_save.") != std::string::npos ||
                              name.find(".original_module.") != std::string::npos);
  }

 private:
  TargetOptions target_options(const Sites& sites, const AttachOptions& options);
  void adapt(Linear& linear, Sites& sites, const AttachOptions& options);
  void initialize(LoraAdapter& adapter, const Linear& linear, int64_t rank, uint64_t seed) const;

  int64_t r_ = 8;
  double alpha_ = 8, dropout_ = 0;
  std::string target_, exclude_, rank_pattern_ = "{}", alpha_pattern_ = "{}", bias_ = "none",
                                 init_ = "true";
  std::vector<std::string> layers_, modules_to_save_;
  bool rslora_ = false;
  Json original_;  // the adapter_config.json that was read: settings that are kept as they came
  std::vector<std::string> saved_modules_, chosen_names_;
  std::deque<LoraAdapter> adapters_;
  std::vector<Linear*> adapted_;
  std::vector<Trainable> trainables_;
};

TargetOptions Lora::target_options(const Sites& sites, const AttachOptions& options) {
  TargetOptions result;
  const bool from_file = original_.is_object();
  result.target = from_file ? ModulePattern::from_json(original_["target_modules"])
                            : ModulePattern::parse(target_);
  if (result.target.empty()) result.target = ModulePattern(default_targets(options.model_type));
  result.exclude = from_file ? ModulePattern::from_json(original_.value("exclude_modules", Json()))
                             : ModulePattern::parse(exclude_);
  for (const std::string& layer : layers_) result.layers.push_back(std::stoll(layer));
  saved_modules_ = sites.head_modules;
  for (const std::string& name : modules_to_save_) {
    if (std::find(saved_modules_.begin(), saved_modules_.end(), name) == saved_modules_.end())
      saved_modules_.push_back(name);
  }
  result.modules_to_save = saved_modules_;
  result.allow_missing = options.allow_missing_targets;
  return result;
}

void Lora::attach(Sites& sites, const AttachOptions& options) {
  const TargetOptions chosen = target_options(sites, options);
  std::vector<std::string> asked;
  for (const std::string& name : modules_to_save_) {
    if (std::find(sites.head_modules.begin(), sites.head_modules.end(), name) ==
        sites.head_modules.end())
      asked.push_back(name);
  }
  check_modules(sites, asked);
  adapted_ = matching_linears(sites, chosen);
  chosen_names_ = chosen.target.all_linear() || !chosen.layers.empty()
                      ? shortest_names(sites, adapted_)
                      : chosen.target.names();
  for (Linear* linear : adapted_) adapt(*linear, sites, options);
  train_modules(sites, saved_modules_, trainables_);
  train_biases(sites, bias_, adapted_, trainables_);
}

void Lora::adapt(Linear& linear, Sites& sites, const AttachOptions& options) {
  const double rank_given =
      pattern_value(parse_json(rank_pattern_, "--rank_pattern", ErrorKind::kUsage), linear.path,
                    static_cast<double>(r_));
  const double alpha = pattern_value(
      parse_json(alpha_pattern_, "--alpha_pattern", ErrorKind::kUsage), linear.path, alpha_);
  const auto rank = static_cast<int64_t>(rank_given);
  if (rank < 1)
    throw usage_error("--rank_pattern: the rank of '{}' is {}, must be at least 1", linear.path,
                      rank_given);
  LoraAdapter& adapter = adapters_.emplace_back();
  adapter.scale =
      alpha / (rslora_ ? std::sqrt(static_cast<double>(rank)) : static_cast<double>(rank));
  adapter.dropout = dropout_;
  adapter.site = sites.dropout_sites++;
  initialize(adapter, linear, rank, options.seed);
  linear.adapter = &adapter;
  trainables_.push_back({"base_model.model." + linear.path + ".lora_A.weight", adapter.a});
  trainables_.push_back({"base_model.model." + linear.path + ".lora_B.weight", adapter.b});
}

void Lora::initialize(LoraAdapter& adapter, const Linear& linear, int64_t rank,
                      uint64_t seed) const {
  const double bound_in = 1 / std::sqrt(static_cast<double>(linear.in()));
  const std::string name_a = linear.path + ".lora_A", name_b = linear.path + ".lora_B";
  adapter.a = init_ == "gaussian"
                  ? draw_normal({rank, linear.in()}, 1.0 / static_cast<double>(rank), seed, name_a)
                  : draw_uniform({rank, linear.in()}, bound_in, seed, name_a);
  adapter.b = init_ == "false"
                  ? draw_uniform({linear.out(), rank}, 1 / std::sqrt(static_cast<double>(rank)),
                                 seed, name_b)
                  : at::zeros({linear.out(), rank});
  adapter.a.set_requires_grad(true);
  adapter.b.set_requires_grad(true);
}

std::vector<Method::Target> Lora::targets() const {
  std::vector<Target> list;
  for (size_t i = 0; i < adapted_.size(); ++i)
    list.push_back({adapted_[i]->path, adapters_[i].a.numel() + adapters_[i].b.numel()});
  return list;
}

void Lora::merge_into(Sites& sites) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < adapted_.size(); ++i) {
    Linear& linear = *adapted_[i];
    linear.weight = linear.weight.to(at::kFloat) +
                    at::mm(adapters_[i].b.to(at::kDouble), adapters_[i].a.to(at::kDouble))
                        .mul_(adapters_[i].scale)
                        .to(at::kFloat);
    linear.adapter = nullptr;
  }
  for (const NamedTensor& parameter : sites.tensors) *parameter.tensor = parameter.tensor->detach();
}

void Lora::read_config(const Json& config) {
  original_ = config;
  const auto refuse = [&](const char* key) {
    const Json value = config.value(key, Json());
    if (value.is_null() || value == false || value == Json::object()) return;
    throw model_error("adapter_config.json: '{}' is {}, which is not supported", key, value.dump());
  };
  for (const char* key : {"use_dora", "lora_bias", "layer_replication", "trainable_token_indices",
                          "target_parameters", "loftq_config", "eva_config", "corda_config",
                          "arrow_config", "alora_invocation_tokens", "use_qalora",
                          "megatron_config", "use_bdlora", "layers_pattern"}) {
    refuse(key);
  }
  try {
    r_ = config.value("r", r_);
    alpha_ = config.value("lora_alpha", alpha_);
    dropout_ = config.value("lora_dropout", dropout_);
    rslora_ = config.value("use_rslora", false);
    bias_ = config.value("bias", bias_);
    rank_pattern_ = config.value("rank_pattern", Json::object()).dump();
    alpha_pattern_ = config.value("alpha_pattern", Json::object()).dump();
    if (const Json layers = config.value("layers_to_transform", Json()); layers.is_array()) {
      for (const Json& layer : layers) layers_.push_back(std::to_string(layer.get<int64_t>()));
    } else if (layers.is_number()) {
      layers_ = {std::to_string(layers.get<int64_t>())};
    }
    if (const Json saved = config.value("modules_to_save", Json()); saved.is_array())
      modules_to_save_ = saved.get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& error) {
    throw model_error("adapter_config.json: {}", error.what());
  }
}

Json Lora::config() const {
  if (original_.is_object()) return original_;
  const auto number = [](double value) {
    return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<int64_t>(value))
                                                                : Json(value);
  };
  Json layers = Json::array();
  for (const std::string& layer : layers_) layers.push_back(std::stoll(layer));
  const Json init = init_ == "gaussian" ? Json("gaussian") : Json(init_ == "true");
  const ModulePattern given = ModulePattern::parse(target_);
  Json targets = chosen_names_.empty() ? given.json() : Json(chosen_names_);
  Json config = {
      {"peft_type", "LORA"},
      {"r", r_},
      {"lora_alpha", number(alpha_)},
      {"lora_dropout", dropout_},
      {"target_modules", targets},
      {"exclude_modules", ModulePattern::parse(exclude_).json()},
      {"layers_to_transform", layers_.empty() ? Json() : layers},
      {"rank_pattern", parse_json(rank_pattern_, "--rank_pattern", ErrorKind::kUsage)},
      {"alpha_pattern", parse_json(alpha_pattern_, "--alpha_pattern", ErrorKind::kUsage)},
      {"use_rslora", rslora_},
      {"bias", bias_},
      {"init_lora_weights", init},
      {"modules_to_save", saved_modules_.empty() ? Json() : Json(saved_modules_)},
      {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
      {"lora_bias", false},
      {"use_dora", false},
      {"use_qalora", false},
      {"ensure_weight_tying", false},
      {"loftq_config", Json::object()},
      {"megatron_core", "megatron.core"},
      {"qalora_group_size", 16}};
  for (const char* key : {"alora_invocation_tokens", "arrow_config", "corda_config", "eva_config",
                          "kasa_config", "layer_replication", "layers_pattern", "lora_ga_config",
                          "megatron_config", "monteclora_config", "target_parameters",
                          "trainable_token_indices", "use_bdlora", "velora_config"}) {
    config[key] = nullptr;
  }
  return config;
}

}  // namespace

std::unique_ptr<Method> make_lora() { return std::make_unique<Lora>(); }

}  // namespace rankwise
