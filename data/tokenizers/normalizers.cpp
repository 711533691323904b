// The small normalizers of a tokenizer.json.
#include <algorithm>

#include "data/tokenizers/components.h"
#include "data/tokenizers/regex.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (text.find(from) == text.npos) return;
  std::string result;
  size_t begin = 0;
  for (size_t at; (at = text.find(from, begin)) != text.npos; begin = at + from.size()) {
    result.append(text, begin, at - begin).append(to);
  }
  text = result.append(text, begin);
}

Normalizer lowercase_normalizer(const Section&) {
  return [](std::string& text) {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      unicode::append_lowercase(unicode::next(text, at), result);
    }
    text.swap(result);
  };
}

Normalizer strip_accents_normalizer(const Section&) {
  return [](std::string& text) {
    std::string result;
    result.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const char32_t character = unicode::next(text, at);
      if (!unicode::is_mark(character)) unicode::append(character, result);
    }
    text.swap(result);
  };
}

Normalizer unicode_form_normalizer(const Section& section) {
  const std::string type = section.text("type");
  const unicode::Form form = type == "NFC"    ? unicode::Form::kNfc
                             : type == "NFD"  ? unicode::Form::kNfd
                             : type == "NFKC" ? unicode::Form::kNfkc
                                              : unicode::Form::kNfkd;
  return [form](std::string& text) { text = unicode::normalized(text, form); };
}

Normalizer replace_normalizer(const Section& section) {
  const Section pattern = section.at("pattern");
  const std::string to = section.text("content");
  if (pattern.has("String")) {
    const std::string from = pattern.text("String");
    if (from.empty()) throw pattern.error("must not be empty");
    return [from, to](std::string& text) { replace_all(text, from, to); };
  }
  const Regex regex(pattern.text("Regex"), pattern);
  return [regex, to](std::string& text) {
    std::string result;
    size_t done = 0;
    regex.for_each_match(text, [&](size_t begin, size_t end) {
      result.append(text, done, begin - done).append(to);
      done = end;
    });
    text = result.append(text, done);
  };
}

void strip_spaces(std::string& text, bool left, bool right) {
  size_t begin = text.size(), end = 0;  // of what is not a space
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    if (unicode::is_whitespace(unicode::next(text, at))) continue;
    begin = std::min(begin, start);
    end = at;
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  text = begin < end ? text.substr(begin, end - begin) : std::string();
}

Normalizer strip_normalizer(const Section& section) {
  const bool left = section.boolean("strip_left", true);
  const bool right = section.boolean("strip_right", true);
  return [left, right](std::string& text) { strip_spaces(text, left, right); };
}

Normalizer prepend_normalizer(const Section& section) {
  const std::string prefix = section.text("prepend");
  return [prefix](std::string& text) {
    if (!text.empty()) text.insert(0, prefix);
  };
}

// What sentencepiece's nmt_nfkc drops, and what it takes for a space.
Normalizer nmt_normalizer(const Section&) {
  const auto dropped = [](char32_t c) {
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
           c == 0x9F;
  };
  const auto space = [](char32_t c) {
    return c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
  };
  return [dropped, space](std::string& text) {
    std::string result;
    for (size_t at = 0; at < text.size();) {
      const char32_t c = unicode::next(text, at);
      if (!dropped(c)) unicode::append(space(c) ? U' ' : c, result);
    }
    text.swap(result);
  };
}

Normalizer sequence_normalizer(const Section& section) {
  std::vector<Normalizer> steps;
  for (const Section& item : section.items("normalizers")) steps.push_back(make_normalizer(item));
  return [steps](std::string& text) {
    for (const Normalizer& step : steps) step(text);
  };
}

}  // namespace rankwise
