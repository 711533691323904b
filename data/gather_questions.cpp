// Windows are summed over ranks, of which each brings its own; texts stay where they are.
#include "data/gather_questions.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>

#include "data/gather_store.h"
#include "data/token_file.h"
#include "distributed/comm/agree.h"

namespace rankwise {

std::shared_ptr<const Questions> gather_questions(Communicator& communicator,
                                                  const TokenStore& store,
                                                  std::vector<Question> mine) {
  auto questions = std::make_shared<Questions>();
  at::Tensor windows = at::zeros({store.rows() + 1, 3}, at::kLong);  // the last: counts
  int64_t* number = windows.mutable_data_ptr<int64_t>();
  int64_t* counts = number + 3 * store.rows();
  for (Question& question : mine) {
    question.example = store.first_example(question.row);
    for (size_t i = 0; i < question.windows.size(); ++i) {
      const Window& window = question.windows[i];
      std::ranges::copy(std::array{window.begin, window.end, window.first},
                        number + 3 * (question.example + static_cast<int64_t>(i)));
    }
    counts[0] += 1;
    counts[1] += store.labelled() && question.answers.empty();
  }
  communicator.sum(windows);
  if (counts[0] == 0) return nullptr;
  for (const int64_t* at = number; at < counts; at += 3)
    questions->windows.push_back({at[0], at[1], at[2]});
  questions->mine = std::move(mine);
  questions->all_answerable = counts[1] == 0;
  return questions;
}

std::shared_ptr<const Questions> read_questions(Communicator& communicator,
                                                const TokenStore& store) {
  const World& world = communicator.world();
  const int64_t rows = store.row_offsets.empty() ? store.rows() : std::ssize(store.row_offsets) - 1;
  std::vector<Question> mine;
  together(communicator, "reading questions", [&] {
    for (int64_t row = world.rank * kBlockRows; row < rows; row += world.ranks * kBlockRows) {
      for (Question& question : store.file->questions(store, row, std::min(rows, row + kBlockRows)))
        mine.push_back(std::move(question));
    }
  });
  return gather_questions(communicator, store, std::move(mine));
}

}  // namespace rankwise
