// LoRA: y = W x + b + s · B A dropout(x) (Hu et al., 2021; peft's tuners/lora), its options and
// files. The products are in lora_linear.cpp.
#include <ATen/ATen.h>

#include <cmath>
#include <deque>

#include "peft/base/draw.h"
#include "peft/methods/lora_linear.h"
#include "peft/methods/target_settings.h"
#include "peft/methods/trained_base.h"

namespace rankwise {
namespace {

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
    targets_.declare(fields);
    targets_.declare_layers(fields);
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
    fields.add("use_dora", dora_, "magnitudes of their own for the rows of W + s · B A")
        .changes_result();
  }

  void read_config(const Json& config) override;
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override { return trainables_; }
  std::vector<Target> targets() const override;
  void merge_into(Sites& sites) override;
  bool ignores(const std::string& name) const override {
    return bias_ == "all" && (name.find(".modules_to_save.") != std::string::npos ||
                              name.find(".original_module.") != std::string::npos);
  }

 private:
  void adapt(Linear& linear, Sites& sites, const AttachOptions& options);
  void initialize(LoraAdapter& adapter, const Linear& linear, int64_t rank, uint64_t seed) const;

  int64_t r_ = 8;
  double alpha_ = 8, dropout_ = 0;
  std::string rank_pattern_ = "{}", alpha_pattern_ = "{}", bias_ = "none", init_ = "true";
  bool rslora_ = false, dora_ = false;
  TargetSettings targets_;
  Json original_;  // the adapter_config.json that was read: settings that are kept as they came
  std::deque<LoraAdapter> adapters_;
  std::vector<Linear*> adapted_;
  std::vector<Trainable> trainables_;
};

void Lora::attach(Sites& sites, const AttachOptions& options) {
  adapted_ = targets_.choose(sites, options, &DefaultTargets::lora);
  for (Linear* linear : adapted_) adapt(*linear, sites, options);
  train_modules(sites, targets_.saved_modules(), trainables_);
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
  const std::string name = "base_model.model." + linear.path;
  trainables_.push_back({name + ".lora_A.weight", adapter.a});
  trainables_.push_back({name + ".lora_B.weight", adapter.b});
  if (!dora_) return;
  adapter.add_magnitude(linear);
  trainables_.push_back({name + ".lora_magnitude_vector", adapter.magnitude});
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
  for (size_t i = 0; i < adapted_.size(); ++i) {
    const LoraAdapter& adapter = adapters_[i];
    const int64_t magnitudes = dora_ ? adapter.magnitude.numel() : 0;
    list.push_back({adapted_[i]->path, adapter.a.numel() + adapter.b.numel() + magnitudes});
  }
  return list;
}

void Lora::merge_into(Sites&) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < adapted_.size(); ++i) {
    Linear& linear = *adapted_[i];
    linear.weight = adapters_[i].merged(linear);
    linear.adapter = nullptr;
  }
}

void Lora::read_config(const Json& config) {
  original_ = config;
  targets_.read(config);
  const auto refuse = [&](const char* key) {
    const Json value = config.value(key, Json());
    if (value.is_null() || value == false || value == Json::object()) return;
    throw model_error("adapter_config.json: '{}' is {}, which is not supported", key, value.dump());
  };
  for (const char* key : {"lora_bias", "layer_replication", "trainable_token_indices",
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
    dora_ = config.value("use_dora", false);
    bias_ = config.value("bias", bias_);
    rank_pattern_ = config.value("rank_pattern", Json::object()).dump();
    alpha_pattern_ = config.value("alpha_pattern", Json::object()).dump();
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
  const Json init = init_ == "gaussian" ? Json("gaussian") : Json(init_ == "true");
  Json config = {
      {"peft_type", "LORA"},
      {"r", r_},
      {"lora_alpha", number(alpha_)},
      {"lora_dropout", dropout_},
      {"layers_to_transform", targets_.layers()},
      {"rank_pattern", parse_json(rank_pattern_, "--rank_pattern", ErrorKind::kUsage)},
      {"alpha_pattern", parse_json(alpha_pattern_, "--alpha_pattern", ErrorKind::kUsage)},
      {"use_rslora", rslora_},
      {"bias", bias_},
      {"init_lora_weights", init},
      {"fan_in_fan_out", !adapted_.empty() && adapted_.front()->in_by_out},
      {"lora_bias", false},
      {"use_dora", dora_},
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
  config.update(targets_.config());
  return config;
}

}  // namespace

std::unique_ptr<Method> make_lora() { return std::make_unique<Lora>(); }

}  // namespace rankwise
