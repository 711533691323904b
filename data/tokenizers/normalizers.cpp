// The small normalizers of a tokenizer.json.
#include <fmt/format.h>

#include "data/tokenizers/components.h"
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
  if (!pattern.has("String"))
    throw pattern.error("is not a 'String': regular expressions are not supported");
  const std::string from = pattern.text("String"), to = section.text("content");
  if (from.empty()) throw pattern.error("must not be empty");
  return [from, to](std::string& text) { replace_all(text, from, to); };
}

Normalizer sequence_normalizer(const Section& section) {
  std::vector<Normalizer> steps;
  for (const Section& item : section.items("normalizers")) steps.push_back(make_normalizer(item));
  return [steps](std::string& text) {
    for (const Normalizer& step : steps) step(text);
  };
}

}  // namespace rankwise
