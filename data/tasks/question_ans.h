// QUESTION_ANS: where in a row its answer begins and ends.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

// input_ids + start_positions + end_positions.
std::unique_ptr<Task> make_question_ans(const DataOptions& options, const Config& config);

}  // namespace rankwise
