// Groups go by a trainable's name and shape alone, as peft's do.
#include "jobs/training/parameter_groups.h"

namespace rankwise {
namespace {

ParameterGroup settings(const Trainable& trainable, const AdamWOptions& adamw,
                        const LoraPlusOptions& lora_plus) {
  const double rate = adamw.learning_rate;
  if (!lora_plus.lr_ratio)
    return {.learning_rate = rate, .weight_decay = trainable.decays ? adamw.weight_decay : 0};
  const double decay = lora_plus.weight_decay;
  if (trainable.name.find(".lora_embedding_") != std::string::npos)
    return {.learning_rate = lora_plus.lr_embedding, .weight_decay = decay};
  if (trainable.name.find("lora_B") != std::string::npos || trainable.value.dim() == 1)
    return {.learning_rate = rate * *lora_plus.lr_ratio,
            .weight_decay = trainable.decays ? decay : 0};
  return {.learning_rate = rate, .weight_decay = decay};
}

}  // namespace

std::vector<ParameterGroup> parameter_groups(const std::vector<Trainable>& trainables,
                                             const AdamWOptions& adamw,
                                             const LoraPlusOptions& lora_plus) {
  std::vector<ParameterGroup> groups;
  int64_t begin = 0;
  for (const Trainable& trainable : trainables) {
    ParameterGroup group = settings(trainable, adamw, lora_plus);
    group.begin = begin;
    group.end = begin += trainable.value.numel();
    const bool joins = !groups.empty() && groups.back().learning_rate == group.learning_rate &&
                       groups.back().weight_decay == group.weight_decay;
    if (joins) {
      groups.back().end = group.end;
    } else {
      groups.push_back(group);
    }
  }
  return groups;
}

}  // namespace rankwise
