// What the two halves of the parser share: a cursor over tokens, and the grammar of expressions.
#pragma once

#include <string_view>
#include <vector>

#include "data/chat/lexer.h"
#include "data/chat/syntax.h"

namespace rankwise::chat {

class Cursor {
 public:
  Cursor(std::vector<Token> tokens, int& line) : tokens_(std::move(tokens)), line_(line) {}

  const Token& peek(size_t offset = 0) const;
  Token next();
  bool at(Token::Kind kind) const { return peek().kind == kind; }
  bool at_sign(std::string_view sign, size_t offset = 0) const;
  bool at_name(std::string_view name, size_t offset = 0) const;
  bool take_sign(std::string_view sign);  // whether it was there
  bool take_name(std::string_view name);
  void expect_sign(std::string_view sign);  // throws TemplateError
  void expect(Token::Kind kind, std::string_view what);
  std::string expect_name();
  int line() const { return peek().line; }

  // Nesting is bounded, since the tree is walked by recursion. Throws TemplateError.
  class Depth {
   public:
    explicit Depth(Cursor& cursor);
    ~Depth() { --cursor_.depth_; }
    Depth(const Depth&) = delete;

   private:
    Cursor& cursor_;
  };

 private:
  std::vector<Token> tokens_;
  int& line_;
  size_t at_ = 0;
  int depth_ = 0;
};

// expressions.cpp. `condition`: with "… if … else …", which a loop's source has not.
ExpressionPointer parse_expression(Cursor& cursor, bool condition = true);
ExpressionPointer parse_tuple(Cursor& cursor);  // "a, b" is a list
ExpressionPointer parse_filters(Cursor& cursor, ExpressionPointer input);

}  // namespace rankwise::chat
