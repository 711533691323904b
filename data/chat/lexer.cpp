// The lexer of lexer.h.
#include "data/chat/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "data/chat/value.h"

namespace rankwise::chat {
namespace {

using Kind = Token::Kind;

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

class Lexer {
 public:
  Lexer(std::string_view source, int& line) : source_(source), line_(line) {
    if (source_.ends_with('\n')) source_.remove_suffix(1);  // keep_trailing_newline is false
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = next_tag();
      take_text(tag);
      if (at_ < source_.size()) take_tag();
    }
    add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void move(size_t count) {
    line_ += static_cast<int>(std::count(source_.begin() + ptrdiff_t(at_),
                                         source_.begin() + ptrdiff_t(at_ + count), '\n'));
    at_ += count;
  }

  char peek(size_t offset = 0) const {
    return at_ + offset < source_.size() ? source_[at_ + offset] : '\0';
  }

  size_t next_tag() const {
    for (size_t at = at_; (at = source_.find('{', at)) != source_.npos; ++at) {
      if (at + 1 < source_.size() &&
          std::string_view("{%#").find(source_[at + 1]) != std::string_view::npos)
        return at;
    }
    return source_.size();
  }

  // Text up to a tag, without the whitespace that the tags around it take.
  void take_text(size_t tag) {
    std::string_view text = source_.substr(at_, tag - at_);
    const size_t length = text.size();
    if (strip_next_) {
      while (!text.empty() && is_space(text[0])) text.remove_prefix(1);
    } else if (trim_newline_ && text.starts_with('\n')) {
      text.remove_prefix(1);
    }
    strip_next_ = trim_newline_ = false;
    if (tag < source_.size()) text = without_end(text, tag);
    if (!text.empty()) add(Kind::kText, std::string(text));
    move(length);
  }

  std::string_view without_end(std::string_view text, size_t tag) const {
    const char mark = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (mark == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    } else if (mark != '+' && source_[tag + 1] != '{') {
      // Spaces go where only they stand between the line's start and the tag.
      const size_t blank = text.find_last_not_of(" \t");
      const size_t kept = blank == text.npos ? 0 : blank + 1;
      const size_t start = tag - text.size() + kept;
      if (start == 0 || source_[start - 1] == '\n') text = text.substr(0, kept);
    }
    return text;
  }

  void take_tag() {
    const char kind = peek(1);
    const bool marked = peek(2) == '-' || peek(2) == '+';
    move(marked ? 3 : 2);
    if (kind == '#') return take_comment();
    if (kind == '%' && take_raw()) return;
    add(kind == '%' ? Kind::kOpenBlock : Kind::kOpenPrint, "");
    const char end = kind == '%' ? '%' : '}';
    for (int depth = 0;;) {
      while (is_space(peek())) move(1);
      if (at_ >= source_.size()) throw TemplateError{"a tag is not closed"};
      if (depth == 0 && at_end(end)) break;
      const char c = peek();
      depth += c == '{' || c == '[' || c == '(';
      depth -= c == '}' || c == ']' || c == ')';
      take_token();
    }
    add(kind == '%' ? Kind::kCloseBlock : Kind::kClosePrint, "");
    close(end);
  }

  bool at_end(char end) const {
    const size_t offset = peek() == '-' || peek() == '+' ? 1 : 0;
    return peek(offset) == end && peek(offset + 1) == '}';
  }

  void close(char end) {
    strip_next_ = peek() == '-';
    trim_newline_ = end != '}' && peek() != '+';
    move(peek() == '-' || peek() == '+' ? 3 : 2);
  }

  void take_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == source_.npos) throw TemplateError{"a comment is not closed"};
    const bool marked = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    move(end - at_ - (marked ? 1 : 0));
    close('#');
  }

  // {% raw %} … {% endraw %}, behind its "{%".
  bool take_raw() {
    size_t at = at_;
    const auto skip = [&](std::string_view word) {
      while (at < source_.size() && is_space(source_[at])) ++at;
      if (!source_.substr(at).starts_with(word)) return false;
      at += word.size();
      return true;
    };
    if (!skip("raw") || !(skip("-%}") || skip("%}"))) return false;
    const bool strip = source_[at - 3] == '-';
    const size_t begin = at;
    for (at = source_.find("{%", begin); at != source_.npos; at = source_.find("{%", at)) {
      const size_t end = at;
      at += 2;
      const bool strip_before = at < source_.size() && source_[at] == '-';
      if (strip_before) ++at;
      if (!skip("endraw") || !(skip("-%}") || skip("%}"))) continue;
      std::string_view text = source_.substr(begin, end - begin);
      while (strip && !text.empty() && is_space(text[0])) text.remove_prefix(1);
      if (!strip && text.starts_with('\n')) text.remove_prefix(1);
      while (strip_before && !text.empty() && is_space(text.back())) text.remove_suffix(1);
      add(Kind::kText, std::string(text));
      strip_next_ = source_[at - 3] == '-';
      trim_newline_ = true;
      move(at - at_);
      return true;
    }
    throw TemplateError{"raw is not closed"};
  }

  void take_token() {
    const char c = peek();
    if (is_letter(c))
      return add(Kind::kName, take_while([](char d) { return is_letter(d) || is_digit(d); }));
    if (is_digit(c)) return take_number();
    if (c == '"' || c == '\'') return take_string();
    constexpr std::array<std::string_view, 7> kLong = {"==", "!=", "<=", ">=", "//", "**", "->"};
    for (const std::string_view sign : kLong) {
      if (source_.substr(at_).starts_with(sign))
        return move(2), add(Kind::kSign, std::string(sign));
    }
    if (std::string_view("()[]{}.,:|~+-*/%<>=").find(c) == std::string_view::npos)
      throw TemplateError{fmt::format("unexpected '{}'", c)};
    move(1);
    add(Kind::kSign, std::string(1, c));
  }

  template <class Test>
  std::string take_while(Test test) {
    size_t end = at_;
    while (end < source_.size() && test(source_[end])) ++end;
    const std::string taken(source_.substr(at_, end - at_));
    move(end - at_);
    return taken;
  }

  void take_number() {
    std::string digits = take_while(is_digit);
    if (peek() != '.' || !is_digit(peek(1))) return add(Kind::kInteger, digits);
    move(1);
    digits += "." + take_while(is_digit);
    add(Kind::kFloat, digits);
  }

  void take_string() {
    const char quote = peek();
    move(1);
    std::string text;
    while (peek() != quote) {
      if (at_ >= source_.size()) throw TemplateError{"a string is not closed"};
      if (peek() != '\\') {
        text += peek();
        move(1);
        continue;
      }
      constexpr std::string_view kEscapes("n\nt\tr\rb\bf\fv\va\a\\\\''\"\"");
      size_t escape = 0;
      while (escape < kEscapes.size() && kEscapes[escape] != peek(1)) escape += 2;
      if (escape < kEscapes.size()) {
        text += kEscapes[escape + 1];
      } else if (peek(1) != '\n') {
        text += {'\\', peek(1)};
      }
      move(2);
    }
    move(1);
    add(Kind::kString, text);
  }

  std::string_view source_;
  int& line_;
  size_t at_ = 0;
  bool strip_next_ = false, trim_newline_ = false;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source, int& line) {
  return Lexer(source, line).run();
}

}  // namespace rankwise::chat
