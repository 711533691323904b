// Language models: which tokens count for the loss.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

// input_ids [labels], or text (every token counts), or prompt + completion (the completion counts),
// or messages (what the assistant says counts).
std::unique_ptr<Task> make_causal_lm(const DataOptions& options, const Config& config);
// input_ids + labels, or source + target. The decoder reads the target one place later, behind
// decoder_start_token_id.
std::unique_ptr<Task> make_seq_2_seq_lm(const DataOptions& options, const Config& config);

}  // namespace rankwise
