// The grammar of expressions, one function a level of precedence, as Jinja has them.
#include <fmt/format.h>

#include <charconv>

#include "data/chat/parser.h"

namespace rankwise::chat {
namespace {

using Kind = Expression::Kind;

template <class... Parts>
ExpressionPointer make(Cursor& cursor, Kind kind, std::string name, Parts... parts) {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = cursor.line();
  made->name = std::move(name);
  (made->parts.push_back(std::move(parts)), ...);
  return made;
}

ExpressionPointer constant(Cursor& cursor, Value value) {
  auto made = make(cursor, Kind::kConstant, "");
  made->value = std::move(value);
  return made;
}

ExpressionPointer parse_unary(Cursor& cursor, bool filters = true);

// Adds (a, b, c=d) to a call, filter or test.
void parse_arguments(Cursor& cursor, Expression& call) {
  cursor.expect_sign("(");
  while (!cursor.take_sign(")")) {
    if (cursor.at(Token::Kind::kName) && cursor.at_sign("=", 1)) {
      std::string name = cursor.expect_name();
      cursor.expect_sign("=");
      call.named.emplace_back(std::move(name), parse_expression(cursor));
    } else {
      call.parts.push_back(parse_expression(cursor));
    }
    if (!cursor.at_sign(")")) cursor.expect_sign(",");
  }
}

ExpressionPointer parse_list(Cursor& cursor, std::string_view close) {
  auto list = make(cursor, Kind::kList, "");
  while (!cursor.take_sign(close)) {
    list->parts.push_back(parse_expression(cursor));
    if (!cursor.at_sign(close)) cursor.expect_sign(",");
  }
  return list;
}

ExpressionPointer parse_dict(Cursor& cursor) {
  auto dict = make(cursor, Kind::kDict, "");
  while (!cursor.take_sign("}")) {
    dict->parts.push_back(parse_expression(cursor));
    cursor.expect_sign(":");
    dict->parts.push_back(parse_expression(cursor));
    if (!cursor.at_sign("}")) cursor.expect_sign(",");
  }
  return dict;
}

Value number_of(const Token& token) {
  const char* end = token.text.data() + token.text.size();
  std::from_chars_result result{};
  Value value;
  if (token.kind == Token::Kind::kInteger) {
    int64_t number = 0;
    result = std::from_chars(token.text.data(), end, number);
    value = number;
  } else {
    double number = 0;
    result = std::from_chars(token.text.data(), end, number);
    value = number;
  }
  if (result.ec != std::errc())
    throw TemplateError{fmt::format("the number {} is too large", token.text)};
  return value;
}

ExpressionPointer parse_parentheses(Cursor& cursor) {
  if (cursor.take_sign(")")) return make(cursor, Kind::kList, "");
  auto inside = parse_tuple(cursor);
  cursor.expect_sign(")");
  return inside;
}

ExpressionPointer parse_primary(Cursor& cursor) {
  const Token token = cursor.next();
  switch (token.kind) {
    case Token::Kind::kString: {
      std::string text = token.text;  // neighbours are one, as in Python
      while (cursor.at(Token::Kind::kString)) text += cursor.next().text;
      return constant(cursor, text);
    }
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return constant(cursor, number_of(token));
    case Token::Kind::kName:
      if (token.text == "true" || token.text == "True") return constant(cursor, true);
      if (token.text == "false" || token.text == "False") return constant(cursor, false);
      if (token.text == "none" || token.text == "None") return constant(cursor, None{});
      return make(cursor, Kind::kName, token.text);
    case Token::Kind::kSign:
      if (token.text == "(") return parse_parentheses(cursor);
      if (token.text == "[") return parse_list(cursor, "]");
      if (token.text == "{") return parse_dict(cursor);
      break;
    default:
      break;
  }
  throw TemplateError{token.text.empty() ? "the expression ends too early"
                                         : fmt::format("unexpected '{}'", token.text)};
}

ExpressionPointer parse_subscript(Cursor& cursor, ExpressionPointer of) {
  ExpressionPointer from, to, step;
  if (!cursor.at_sign(":")) from = parse_expression(cursor);
  if (!cursor.at_sign(":")) {
    cursor.expect_sign("]");
    return make(cursor, Kind::kItem, "", std::move(of), std::move(from));
  }
  cursor.expect_sign(":");
  if (!cursor.at_sign(":") && !cursor.at_sign("]")) to = parse_expression(cursor);
  if (cursor.take_sign(":") && !cursor.at_sign("]")) step = parse_expression(cursor);
  cursor.expect_sign("]");
  return make(cursor, Kind::kSlice, "", std::move(of), std::move(from), std::move(to),
              std::move(step));
}

ExpressionPointer parse_postfix(Cursor& cursor, ExpressionPointer of) {
  for (;;) {
    if (cursor.take_sign(".")) {
      if (cursor.at(Token::Kind::kInteger)) {
        auto key = constant(cursor, number_of(cursor.next()));
        of = make(cursor, Kind::kItem, "", std::move(of), std::move(key));
      } else {
        of = make(cursor, Kind::kAttribute, cursor.expect_name(), std::move(of));
      }
    } else if (cursor.take_sign("[")) {
      of = parse_subscript(cursor, std::move(of));
    } else if (cursor.at_sign("(")) {
      of = make(cursor, Kind::kCall, "", std::move(of));
      parse_arguments(cursor, *of);
    } else {
      return of;
    }
  }
}

// is [not] defined, is divisibleby 3, is sameas(x)
ExpressionPointer parse_test(Cursor& cursor, ExpressionPointer input) {
  const bool negated = cursor.take_name("not");
  auto test = make(cursor, Kind::kTest, cursor.expect_name(), std::move(input));
  if (cursor.at_sign("(")) {
    parse_arguments(cursor, *test);
  } else if ((cursor.at(Token::Kind::kName) && !cursor.at_name("else") && !cursor.at_name("or") &&
              !cursor.at_name("and") && !cursor.at_name("is") && !cursor.at_name("if") &&
              !cursor.at_name("in") && !cursor.at_name("not")) ||
             cursor.at(Token::Kind::kString) || cursor.at(Token::Kind::kInteger)) {
    test->parts.push_back(parse_postfix(cursor, parse_primary(cursor)));
  }
  return negated ? make(cursor, Kind::kUnary, "not", std::move(test)) : std::move(test);
}

ExpressionPointer parse_unary(Cursor& cursor, bool filters) {
  const Cursor::Depth depth(cursor);
  ExpressionPointer made;
  for (const char* sign : {"-", "+"}) {
    if (!made && cursor.take_sign(sign))
      made = make(cursor, Kind::kUnary, sign, parse_unary(cursor, false));
  }
  if (!made) made = parse_primary(cursor);
  made = parse_postfix(cursor, std::move(made));
  return filters ? parse_filters(cursor, std::move(made)) : std::move(made);
}

ExpressionPointer parse_power(Cursor& cursor) {
  auto left = parse_unary(cursor);
  while (cursor.take_sign("**"))
    left = make(cursor, Kind::kBinary, "**", std::move(left), parse_unary(cursor));
  return left;
}

// Signs of one level, from the left.
template <class Inner>
ExpressionPointer parse_level(Cursor& cursor, std::initializer_list<const char*> signs,
                              Inner inner) {
  auto left = inner(cursor);
  for (bool more = true; more;) {
    more = false;
    for (const char* sign : signs) {
      if (!cursor.take_sign(sign)) continue;
      left = make(cursor, Kind::kBinary, sign, std::move(left), inner(cursor));
      more = true;
    }
  }
  return left;
}

ExpressionPointer parse_product(Cursor& cursor) {
  return parse_level(cursor, {"*", "/", "//", "%"}, parse_power);
}
ExpressionPointer parse_joined(Cursor& cursor) { return parse_level(cursor, {"~"}, parse_product); }
ExpressionPointer parse_sum(Cursor& cursor) {
  return parse_level(cursor, {"+", "-"}, parse_joined);
}

ExpressionPointer parse_comparison(Cursor& cursor) {
  auto first = parse_sum(cursor);
  auto made = make(cursor, Kind::kCompare, "", std::move(first));
  for (bool more = true; more;) {
    more = false;
    for (const char* sign : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!cursor.take_sign(sign)) continue;
      made->names.emplace_back(sign);
      made->parts.push_back(parse_sum(cursor));
      more = true;
    }
    const bool negated = cursor.at_name("not") && cursor.at_name("in", 1);
    if (negated) cursor.next();
    if (!cursor.take_name("in")) continue;
    made->names.emplace_back(negated ? "not in" : "in");
    made->parts.push_back(parse_sum(cursor));
    more = true;
  }
  return made->names.empty() ? std::move(made->parts[0]) : std::move(made);
}

ExpressionPointer parse_not(Cursor& cursor) {
  const Cursor::Depth depth(cursor);
  if (cursor.take_name("not")) return make(cursor, Kind::kUnary, "not", parse_not(cursor));
  return parse_comparison(cursor);
}

ExpressionPointer parse_words(Cursor& cursor, const char* word,
                              ExpressionPointer (*inner)(Cursor&)) {
  auto left = inner(cursor);
  while (cursor.take_name(word))
    left = make(cursor, Kind::kBinary, word, std::move(left), inner(cursor));
  return left;
}

ExpressionPointer parse_and(Cursor& cursor) { return parse_words(cursor, "and", parse_not); }
ExpressionPointer parse_or(Cursor& cursor) { return parse_words(cursor, "or", parse_and); }

}  // namespace

ExpressionPointer parse_filters(Cursor& cursor, ExpressionPointer input) {
  for (;;) {
    if (cursor.take_sign("|")) {
      input = make(cursor, Kind::kFilter, cursor.expect_name(), std::move(input));
      if (cursor.at_sign("(")) parse_arguments(cursor, *input);
    } else if (cursor.take_name("is")) {
      input = parse_test(cursor, std::move(input));
    } else {
      return input;
    }
  }
}

ExpressionPointer parse_expression(Cursor& cursor, bool condition) {
  const Cursor::Depth depth(cursor);
  auto made = parse_or(cursor);
  while (condition && cursor.take_name("if")) {
    auto test = parse_or(cursor);
    ExpressionPointer otherwise;
    if (cursor.take_name("else")) otherwise = parse_expression(cursor);
    made =
        make(cursor, Kind::kCondition, "", std::move(made), std::move(test), std::move(otherwise));
  }
  return made;
}

ExpressionPointer parse_tuple(Cursor& cursor) {
  auto first = parse_expression(cursor);
  if (!cursor.at_sign(",")) return first;
  auto list = make(cursor, Kind::kList, "", std::move(first));
  while (cursor.take_sign(",")) {
    if (cursor.at_sign(")") || cursor.at(Token::Kind::kCloseBlock)) break;
    list->parts.push_back(parse_expression(cursor));
  }
  return list;
}

}  // namespace rankwise::chat
