// Tokens to statements.
#include "data/chat/parser.h"

#include <fmt/format.h>

namespace rankwise::chat {
namespace {

constexpr int kMostDepth = 200;

using Kind = Statement::Kind;

class Parser {
 public:
  Parser(std::vector<Token> tokens, int& line) : cursor_(std::move(tokens), line) {}

  Body template_body() {
    Body body = parse_body({});
    cursor_.expect(Token::Kind::kEnd, "the end");
    return body;
  }

 private:
  // Statements up to a block that begins with one of `ends`, whose "{%" is taken then.
  Body parse_body(std::initializer_list<std::string_view> ends) {
    const Cursor::Depth depth(cursor_);
    Body body;
    for (;;) {
      Statement made;
      made.line = cursor_.line();
      const Token token = cursor_.next();
      if (token.kind == Token::Kind::kText) {
        made.kind = Kind::kText;
        made.text = token.text;
      } else if (token.kind == Token::Kind::kOpenPrint) {
        made.kind = Kind::kPrint;
        made.expression = parse_tuple(cursor_);
        cursor_.expect(Token::Kind::kClosePrint, "}}");
      } else if (token.kind == Token::Kind::kOpenBlock) {
        for (const std::string_view end : ends) {
          if (cursor_.at_name(end)) return body;
        }
        parse_block(made);
      } else {
        if (ends.size() == 0) return body;
        throw TemplateError{fmt::format("{} is missing", *(ends.end() - 1))};
      }
      body.push_back(std::move(made));
    }
  }

  void parse_block(Statement& made) {
    const std::string name = cursor_.expect_name();
    if (name == "if") return parse_if(made);
    if (name == "for") return parse_for(made);
    if (name == "set") return parse_set(made);
    if (name == "macro") return parse_macro(made);
    if (name == "generation") {
      made.kind = Kind::kGeneration;
      return close_and_body(made.body, "endgeneration");
    }
    if (name != "break" && name != "continue") {
      throw TemplateError{fmt::format("the block '{}' is not supported", name)};
    }
    made.kind = name == "break" ? Kind::kBreak : Kind::kContinue;
    close();
  }

  void close() { cursor_.expect(Token::Kind::kCloseBlock, "%}"); }

  void close_and_body(Body& body, std::string_view end) {
    close();
    body = parse_body({end});
    cursor_.take_name(end);
    close();
  }

  void parse_if(Statement& made) {
    made.kind = Kind::kIf;
    for (bool more = true; more;) {
      auto test = parse_tuple(cursor_);
      close();
      made.branches.emplace_back(std::move(test), parse_body({"elif", "else", "endif"}));
      more = cursor_.take_name("elif");
    }
    if (cursor_.take_name("else")) {
      close();
      made.branches.emplace_back(nullptr, parse_body({"endif"}));
    }
    cursor_.take_name("endif");
    close();
  }

  void parse_for(Statement& made) {
    made.kind = Kind::kFor;
    made.names = parse_names();
    if (!cursor_.take_name("in")) throw TemplateError{"'in' is missing behind for"};
    made.expression = parse_expression(cursor_, false);
    if (cursor_.take_name("if")) made.condition = parse_expression(cursor_);
    close();
    made.body = parse_body({"else", "endfor"});
    if (cursor_.take_name("else")) {
      close();
      made.otherwise = parse_body({"endfor"});
    }
    cursor_.take_name("endfor");
    close();
  }

  std::vector<std::string> parse_names() {
    const bool parentheses = cursor_.take_sign("(");
    std::vector<std::string> names = {cursor_.expect_name()};
    while (cursor_.take_sign(",")) names.push_back(cursor_.expect_name());
    if (parentheses) cursor_.expect_sign(")");
    return names;
  }

  void parse_set(Statement& made) {
    made.kind = Kind::kSet;
    made.names = parse_names();
    if (cursor_.take_sign(".")) made.attribute = cursor_.expect_name();
    if (cursor_.take_sign("=")) {
      made.expression = parse_tuple(cursor_);
      return close();
    }
    close_and_body(made.body, "endset");
  }

  void parse_macro(Statement& made) {
    made.kind = Kind::kMacro;
    made.text = cursor_.expect_name();
    cursor_.expect_sign("(");
    while (!cursor_.take_sign(")")) {
      made.names.push_back(cursor_.expect_name());
      if (cursor_.take_sign("=")) {
        made.defaults.push_back(parse_expression(cursor_));
      } else if (!made.defaults.empty()) {
        throw TemplateError{"a parameter without a default follows one that has one"};
      }
      if (!cursor_.at_sign(")")) cursor_.expect_sign(",");
    }
    close_and_body(made.body, "endmacro");
  }

  Cursor cursor_;
};

}  // namespace

const Token& Cursor::peek(size_t offset) const {
  return tokens_[std::min(at_ + offset, tokens_.size() - 1)];
}

Token Cursor::next() {
  const Token token = peek();
  line_ = token.line;
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Cursor::at_sign(std::string_view sign, size_t offset) const {
  return peek(offset).kind == Token::Kind::kSign && peek(offset).text == sign;
}

bool Cursor::at_name(std::string_view name, size_t offset) const {
  return peek(offset).kind == Token::Kind::kName && peek(offset).text == name;
}

bool Cursor::take_sign(std::string_view sign) {
  const bool found = at_sign(sign);
  if (found) next();
  return found;
}

bool Cursor::take_name(std::string_view name) {
  const bool found = at_name(name);
  if (found) next();
  return found;
}

void Cursor::expect_sign(std::string_view sign) {
  if (!take_sign(sign))
    throw TemplateError{fmt::format("'{}' is missing before '{}'", sign, next().text)};
}

void Cursor::expect(Token::Kind kind, std::string_view what) {
  const Token token = next();
  if (token.kind != kind) {
    throw TemplateError{fmt::format("{} is missing before '{}'", what, token.text)};
  }
}

std::string Cursor::expect_name() {
  const Token token = next();
  if (token.kind != Token::Kind::kName) {
    throw TemplateError{fmt::format("a name is missing before '{}'", token.text)};
  }
  return token.text;
}

Cursor::Depth::Depth(Cursor& cursor) : cursor_(cursor) {
  if (++cursor_.depth_ > kMostDepth) {
    --cursor_.depth_;
    throw TemplateError{fmt::format("nested deeper than {}", kMostDepth)};
  }
}

Body parse(std::string_view source, int& line) {
  return Parser(tokens_of(source, line), line).template_body();
}

}  // namespace rankwise::chat
