// Answers to questions whose contexts may lie in several windows, on any rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "data/questions.h"
#include "data/tasks/squad.h"
#include "distributed/comm/communicator.h"
#include "peft/base/unit.h"

namespace rankwise {

class Answers {
 public:
  explicit Answers(const Questions& questions);  // which outlive this
  // logits [N, 2] of the unit's own_tokens() (peft/base/selection.h).
  void add(const at::Tensor& logits, const Unit& unit);
  // Collective: every rank gets what all have said of the windows.
  void gather(Communicator& communicator);

  // Of this rank's questions, in the order of its rows: {row, text}.
  std::vector<std::pair<int64_t, std::string>> texts() const;
  // Sums over this rank's questions, as the task's metrics count them.
  std::vector<int64_t> counts() const;

 private:
  WindowAnswer of(int64_t example) const;

  const Questions& questions_;
  at::Tensor said_;  // [examples, 4] double: score, null score, first + 1, last + 1
};

}  // namespace rankwise
