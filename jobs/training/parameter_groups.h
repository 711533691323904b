// Which learning rate and weight decay each trainable gets: a Trainer's rule, or LoRA+'s.
#pragma once

#include <optional>
#include <vector>

#include "jobs/training/optimizer.h"
#include "peft/methods/method.h"

namespace rankwise {

// LoRA+ (Hayou et al., 2024, arXiv:2402.12354): B learns faster than A. Acts where lr_ratio is set.
struct LoraPlusOptions {
  std::optional<double> lr_ratio;
  double weight_decay = 0, lr_embedding = 1e-6;
};

// Stretches of the flat buffer in which the trainables lie end to end, neighbours with equal
// settings joined. Without LoRA+ as a Trainer groups them; with it as peft's
// create_loraplus_optimizer (peft/optimizers/loraplus.py, 0.21.2) does.
std::vector<ParameterGroup> parameter_groups(const std::vector<Trainable>& trainables,
                                             const AdamWOptions& adamw,
                                             const LoraPlusOptions& lora_plus);

}  // namespace rankwise
