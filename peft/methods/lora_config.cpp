// The keys that LoRA's config has.
#include "peft/methods/lora_config.h"

#include <cmath>

#include "peft/methods/targets.h"

namespace rankwise {

Json lora_config_defaults() {
  Json config = {{"r", 8},
                 {"lora_alpha", 8},
                 {"lora_dropout", 0.0},
                 {"rank_pattern", Json::object()},
                 {"alpha_pattern", Json::object()},
                 {"use_rslora", false},
                 {"bias", "none"},
                 {"init_lora_weights", true},
                 {"fan_in_fan_out", false},
                 {"lora_bias", false},
                 {"use_dora", false},
                 {"use_qalora", false},
                 {"ensure_weight_tying", false},
                 {"loftq_config", Json::object()},
                 {"megatron_core", "megatron.core"},
                 {"qalora_group_size", 16}};
  for (const char* key :
       {"alora_invocation_tokens", "arrow_config", "corda_config", "eva_config", "kasa_config",
        "layer_replication", "layers_pattern", "layers_to_transform", "lora_ga_config",
        "megatron_config", "monteclora_config", "target_parameters", "trainable_token_indices",
        "use_bdlora", "velora_config"}) {
    config[key] = nullptr;
  }
  return config;
}

void refuse_unsupported_lora(const Json& config) {
  for (const char* key : {"layer_replication", "target_parameters", "loftq_config", "eva_config",
                          "corda_config", "arrow_config", "alora_invocation_tokens", "use_qalora",
                          "megatron_config", "use_bdlora", "layers_pattern"}) {
    const Json value = config.value(key, Json());
    if (value.is_null() || value == false || value == Json::object()) continue;
    throw model_error("adapter_config.json: '{}' is {}, which is not supported", key, value.dump());
  }
}

double lora_scale(const Json& config, const std::string& module, int64_t rank) {
  const double alpha = pattern_value(config.value("alpha_pattern", Json::object()), module,
                                     config.at("lora_alpha").get<double>());
  return lora_scale(alpha, rank, config.value("use_rslora", false));
}

double lora_scale(double alpha, int64_t rank, bool rslora) {
  const auto ranks = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(ranks) : ranks);
}

bool takes_from_weight(const Json& init) { return init == "pissa" || init == "olora"; }

Json whole(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<int64_t>(value))
                                                              : Json(value);
}

}  // namespace rankwise
