// Answers as SQuAD's script judges them, and the best answer of a window as transformers' run_qa
// takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/questions.h"

namespace rankwise {

inline constexpr int64_t kLongestAnswer = 30;  // tokens: run_qa's max_answer_length

// Lower case, without ASCII punctuation and the words a, an, the; single spaces.
std::string normalised_answer(std::string_view text);
// Against the best of the right answers. may_be_empty, as SQuAD 2 has it: right answers that are
// normalised to nothing do not count beside others, and where there are no others the empty text is
// right. Else, as in SQuAD 1.1, every one counts, and two texts without words have nothing in
// common.
bool exact_match(const std::string& answer, const std::vector<std::string>& right,
                 bool may_be_empty);
double word_f1(const std::string& answer, const std::vector<std::string>& right, bool may_be_empty);

// What a window says: the span of context tokens with the greatest sum of a start's and an end's
// score, among the 20 greatest of each; and what both say of its first token, which stands for
// "there is no answer".
struct WindowAnswer {
  float score = 0, null_score = 0;
  int64_t first = -1, last = -1;  // tokens of the example; -1: no span is possible
};
// scores [tokens, 2]: start and end of each token.
WindowAnswer best_answer(const float* scores, int64_t tokens, const Window& window);

// The text that a question's windows, in order, agree on: the span with the greatest score, the
// earlier where two are equal. may_be_empty: "" where no span is better than the least of the null
// scores (SQuAD 2).
std::string answer_text(const Question& question, const std::vector<WindowAnswer>& windows,
                        bool may_be_empty);

}  // namespace rankwise
