// Questions with the text that answers them: what judging an answer needs, beside the token store.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/origins.h"

namespace rankwise {

// A part of a context that one example of the store holds.
struct Window {
  int64_t begin = 0, end = 0;  // the context's tokens in the example
  int64_t first = 0;           // which of the context's tokens the first of them is
  bool operator==(const Window&) const = default;
};

struct Question {
  int64_t row = 0, example = 0;  // in the file; in the store, of its first window
  std::string context;
  std::vector<std::string> answers;  // none: it cannot be answered
  std::vector<TextSpan> tokens;      // where the context's tokens stand in it
  std::vector<Window> windows;
};

struct Questions {
  std::vector<Window> windows;  // of every example of the store; the same on all ranks
  std::vector<Question> mine;   // of this rank's rows
  bool all_answerable = true;   // of all ranks
};

// A question but its row and example as a line of JSON, which a token store keeps.
std::string line_of(const Question& question);
// Errors: kInput, beginning with `where`: no such line.
Question question_of(std::string_view line, const std::string& where);

}  // namespace rankwise
