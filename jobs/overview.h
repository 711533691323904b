// What a job says of a model before it runs: targets, parameters, memory, communication. The
// launcher shows the ranks.
#pragma once

#include "distributed/core/log.h"
#include "peft/model/adapted_model.h"

namespace rankwise {

struct Footprint {
  int64_t base_bytes_per_node = 0;
  int64_t adapter_bytes_per_rank = 0;     // values, gradients, AdamW's two moments, the integer sum
  int64_t activation_bytes_per_rank = 0;  // of one unit of `unit_tokens`, an estimate
  int64_t reduction_bytes_per_update = 0;
};
Footprint footprint(const AdaptedModel& model, int64_t unit_tokens);

std::string readable_bytes(int64_t bytes);  // "90.9 MB"

// Targets, parameters and plan, for a unit of so many tokens.
void introduce(Log& log, const AdaptedModel& model, int64_t unit_tokens);

}  // namespace rankwise
