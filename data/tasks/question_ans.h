// QUESTION_ANS: where in a row its answer begins and ends.
#pragma once

#include <memory>

#include "data/tasks/task.h"

namespace rankwise {

// Exact matches and F1, summed: exact integers.
struct AnswerCounts {
  int64_t exact = 0, overlap = 0, rows = 0;
  void add(bool is_exact, double f1);
  std::vector<int64_t> numbers() const { return {exact, overlap, rows}; }
};

// input_ids + start_positions + end_positions, or question + context + answers.
std::unique_ptr<Task> make_question_ans(const DataOptions& options, const Config& config);

}  // namespace rankwise
