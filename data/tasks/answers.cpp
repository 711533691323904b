// A window's answer is four numbers; its text is known to the rank that read the row.
#include "data/tasks/answers.h"

#include <ATen/ops/zeros.h>

#include "data/tasks/question_ans.h"
#include "peft/base/selection.h"

namespace rankwise {

Answers::Answers(const Questions& questions)
    : questions_(questions), said_(at::zeros({std::ssize(questions.windows), 4}, at::kDouble)) {}

void Answers::add(const at::Tensor& logits, const Unit& unit) {
  const at::Tensor scores = logits.contiguous();
  const std::vector<int64_t> bounds = own_bounds(unit.text);
  for (size_t i = 0; i < unit.rows.size(); ++i) {
    const auto best =
        best_answer(scores.const_data_ptr<float>() + 2 * bounds[i], bounds[i + 1] - bounds[i],
                    questions_.windows[static_cast<size_t>(unit.rows[i])]);
    double* said = said_.mutable_data_ptr<double>() + 4 * unit.rows[i];
    said[0] = best.score;
    said[1] = best.null_score;
    said[2] = static_cast<double>(best.first + 1);  // 0: no span, as for a window not computed
    said[3] = static_cast<double>(best.last + 1);
  }
}

void Answers::gather(Communicator& communicator) { communicator.sum(said_); }

WindowAnswer Answers::of(int64_t example) const {
  const double* said = said_.const_data_ptr<double>() + 4 * example;
  return {static_cast<float>(said[0]), static_cast<float>(said[1]),
          static_cast<int64_t>(said[2]) - 1, static_cast<int64_t>(said[3]) - 1};
}

std::vector<std::pair<int64_t, std::string>> Answers::texts() const {
  std::vector<std::pair<int64_t, std::string>> texts;
  for (const Question& question : questions_.mine) {
    std::vector<WindowAnswer> windows;
    for (int64_t i = 0; i < std::ssize(question.windows); ++i)
      windows.push_back(of(question.example + i));
    texts.emplace_back(question.row, answer_text(question, windows, !questions_.all_answerable));
  }
  return texts;
}

std::vector<int64_t> Answers::counts() const {
  AnswerCounts counts;
  const auto texts = this->texts();
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string>& right = questions_.mine[i].answers;
    counts.add(exact_match(texts[i].second, right, !questions_.all_answerable),
               word_f1(texts[i].second, right, !questions_.all_answerable));
  }
  return counts.numbers();
}

}  // namespace rankwise
