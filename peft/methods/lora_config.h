// adapter_config.json of LoRA and of what peft derives from it (peft/tuners/lora/config.py).
#pragma once

#include <cstdint>
#include <string>

#include "peft/hub/json.h"

namespace rankwise {

// Every key of peft's LoraConfig with its default, but the common ones and the targets.
Json lora_config_defaults();

// Errors: kModel: a setting that is not supported.
void refuse_unsupported_lora(const Json& config);

// What B A of a module is scaled by, from an adapter_config.json: its alpha over its rank or, of
// rsLoRA, the root of it.
double lora_scale(const Json& config, const std::string& module, int64_t rank);
double lora_scale(double alpha, int64_t rank, bool rslora);

// Whether an init_lora_weights (PiSSA's, OLoRA's) makes the pair out of the frozen weight, which
// then counts without it.
bool takes_from_weight(const Json& init);

Json whole(double value);  // 16 for 16.0, as peft writes a lora_alpha

}  // namespace rankwise
