// The modules that peft's methods act on where none are given, by model_type.
#pragma once

#include <string>
#include <vector>

namespace rankwise {

struct DefaultTargets {
  const char* model_type;
  std::vector<std::string> lora, ia3, ia3_feedforward, adalora;  // empty: peft has no default
};

// peft/utils/constants.py: TRANSFORMERS_MODELS_TO_…_TARGET_MODULES_MAPPING. VeRA's are LoRA's.
// Errors: kUsage: none for this model_type.
const std::vector<std::string>& default_targets(const std::string& model_type,
                                                std::vector<std::string> DefaultTargets::*method);

// IA3's feed-forward modules; the list may be empty. Errors: kUsage: none for this model_type.
std::vector<std::string> default_feedforward(const std::string& model_type);

}  // namespace rankwise
