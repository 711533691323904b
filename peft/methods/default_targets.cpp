// The table of default targets.
#include "peft/methods/default_targets.h"

#include "distributed/core/error.h"

namespace rankwise {
namespace {

const std::vector<DefaultTargets> kTargets = {
    {"bert",
     {"query", "value"},
     {"key", "value", "output.dense"},
     {"output.dense"},
     {"query", "value"}},
    {"gemma2",
     {"q_proj", "v_proj"},
     {"q_proj", "v_proj", "down_proj"},
     {"down_proj"},
     {"q_proj", "v_proj"}},
    {"gpt2", {"c_attn"}, {"c_attn", "mlp.c_proj"}, {"mlp.c_proj"}, {"c_attn"}},
    {"llama",
     {"q_proj", "v_proj"},
     {"k_proj", "v_proj", "down_proj"},
     {"down_proj"},
     {"q_proj", "v_proj"}},
    {"mistral", {"q_proj", "v_proj"}, {"k_proj", "v_proj", "down_proj"}, {"down_proj"}, {}},
    {"mt5", {"q", "v"}, {"k", "v", "wi_1"}, {}, {"q", "k", "v", "o", "wi_0", "wi_1", "wo"}},
    {"opt",
     {"q_proj", "v_proj"},
     {"q_proj", "k_proj", "fc2"},
     {"fc2"},
     {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}},
    {"qwen2",
     {"q_proj", "v_proj"},
     {"q_proj", "v_proj", "down_proj"},
     {"down_proj"},
     {"q_proj", "v_proj"}},
    {"qwen3",
     {"q_proj", "v_proj"},
     {"q_proj", "v_proj", "down_proj"},
     {"down_proj"},
     {"q_proj", "v_proj"}},
    {"roberta",
     {"query", "value"},
     {"key", "value", "output.dense"},
     {"output.dense"},
     {"query", "key", "value", "dense"}},
    {"t5", {"q", "v"}, {"k", "v", "wo"}, {"wo"}, {"q", "k", "v", "o", "wi", "wo"}},
};

}  // namespace

const std::vector<std::string>& default_targets(const std::string& model_type,
                                                std::vector<std::string> DefaultTargets::*method) {
  for (const DefaultTargets& row : kTargets) {
    if (row.model_type == model_type && !(row.*method).empty()) return row.*method;
  }
  throw usage_error("--target_modules must be given: peft has no default for '{}'", model_type);
}

std::vector<std::string> default_feedforward(const std::string& model_type) {
  for (const DefaultTargets& row : kTargets) {
    if (row.model_type == model_type) return row.ia3_feedforward;
  }
  throw usage_error("--feedforward_modules must be given: peft has no default for '{}'",
                    model_type);
}

}  // namespace rankwise
