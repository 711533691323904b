// Words as GPT-2, Llama 3 and Qwen 2 cut them. Letters and numbers are those of Unicode 16, which
// the library's engine knows.
#include "data/tokenizers/word_scanner.h"

#include "data/tokenizers/unicode.h"

namespace rankwise {

const std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

using unicode::Class;

// The character at a place, and where the next one is.
struct Character {
  Class kind = Class::kNone;  // kNone: the text's end
  size_t end = 0;
};

Character character_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {Class::kNone, at};
  const Class kind = unicode::class_of(unicode::next(text, at));
  return {kind, at};
}

size_t run_end(std::string_view text, size_t at, Class kind) {
  for (Character c = character_at(text, at); c.kind == kind; c = character_at(text, at)) at = c.end;
  return at;
}

bool is_newline(std::string_view text, size_t at) {
  return at < text.size() && (text[at] == '\r' || text[at] == '\n');
}

// \s+(?!\S)|\s+: leaves the last space to the word that follows.
size_t space_end(std::string_view text, size_t at) {
  size_t last = at, end = at;
  for (Character c = character_at(text, at); c.kind == Class::kSpace; c = character_at(text, end)) {
    last = end;
    end = c.end;
  }
  return end < text.size() && last > at ? last : end;
}

// 's|'t|'re|'ve|'m|'ll|'d at an apostrophe: where it ends, or 0. Without case a long s is an s.
size_t contraction_end(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'') return 0;
  const auto letter = [&](size_t offset) -> char {
    if (at + offset >= text.size()) return 0;
    const char c = text[at + offset];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
  if (first == 'l' && second == 'l') return at + 3;
  return any_case && text.substr(at + 1).starts_with("\u017f") ? at + 3 : 0;
}

// \s*[\r\n]+: up to the last line end among the spaces, or 0.
size_t lines_end(std::string_view text, size_t at) {
  size_t end = 0;
  for (Character c = character_at(text, at); c.kind == Class::kSpace; c = character_at(text, at)) {
    if (is_newline(text, at)) end = c.end;
    at = c.end;
  }
  return end;
}

template <int most_digits>
size_t scan_llama3_word(std::string_view text, size_t at) {
  if (const size_t end = contraction_end(text, at, true)) return end;
  const Character first = character_at(text, at);
  if (first.kind == Class::kLetter) return run_end(text, first.end, Class::kLetter);
  if (first.kind == Class::kNumber) {
    Character last = first;
    for (int digits = 1; digits < most_digits; ++digits) {
      const Character next = character_at(text, last.end);
      if (next.kind != Class::kNumber) break;
      last = next;
    }
    return last.end;
  }
  const Character second = character_at(text, first.end);
  if (second.kind == Class::kLetter && !is_newline(text, at)) {
    return run_end(text, second.end, Class::kLetter);
  }
  if (first.kind == Class::kOther || (text[at] == ' ' && second.kind == Class::kOther)) {
    size_t end = run_end(text, first.end, Class::kOther);
    while (is_newline(text, end)) ++end;
    return end;
  }
  if (const size_t end = lines_end(text, at)) return end;
  return space_end(text, at);
}

}  // namespace

size_t scan_gpt2_word(std::string_view text, size_t at) {
  if (const size_t end = contraction_end(text, at, false)) return end;
  Character first = character_at(text, at);
  if (text[at] == ' ') {
    const Character second = character_at(text, first.end);
    if (second.kind != Class::kNone && second.kind != Class::kSpace) first = second;
  }
  return first.kind == Class::kSpace ? space_end(text, at) : run_end(text, first.end, first.kind);
}

WordScanner word_scanner(std::string_view expression) {
  if (expression == kGpt2Words) return scan_gpt2_word;
  if (expression == kLlama3Words) return scan_llama3_word<3>;
  if (expression == kQwen2Words) return scan_llama3_word<1>;
  return nullptr;
}

}  // namespace rankwise
