// Which token comes next, from one row of logits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "peft/model/generate.h"

namespace rankwise {

// Makes the scores [V] of tokens that are in `before` worse, as transformers' repetition_penalty.
void penalize(at::Tensor scores, const std::vector<int64_t>& before, double penalty);

// logits [V], changed: repetition penalty, then (with do_sample) temperature, top_k, top_p, in the
// order of transformers' logits processors. before: prompt and text so far. sequence: which of the
// row's texts. Sampling is a pure function of (seed, row, sequence, position).
int64_t next_token(at::Tensor logits, const std::vector<int64_t>& before,
                   const GenerationOptions& options, int64_t row, int64_t sequence);

}  // namespace rankwise
