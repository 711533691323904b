// Renders a parsed template. What a template may do is bounded: steps, depth, length of the output.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/chat/syntax.h"

namespace rankwise::chat {

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generations;  // byte ranges of {% generation %} blocks
};

// `line`: where the evaluator is, for the message when it throws TemplateError or Raised.
Rendered render(const Body& body, const Dict& variables, int& line);

}  // namespace rankwise::chat
