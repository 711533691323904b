// A template's text to tokens: text outside tags, words, numbers, strings and signs inside, with
// whitespace removed as transformers sets Jinja up (trim_blocks, lstrip_blocks, `-` and `+`).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rankwise::chat {

struct Token {
  enum class Kind {
    kText,
    kOpenBlock,
    kCloseBlock,
    kOpenPrint,
    kClosePrint,
    kName,
    kInteger,
    kFloat,
    kString,
    kSign,
    kEnd
  };
  Kind kind;
  std::string text;
  int line = 1;
};

// `line`: where the lexer is, for the message when it throws TemplateError.
std::vector<Token> tokens_of(std::string_view source, int& line);

}  // namespace rankwise::chat
