// The small normalizers of a tokenizer.json.
#include <algorithm>

#include "data/tokenizers/components.h"
#include "data/tokenizers/regex.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

// Character by character: append(character, result).
template <class Append>
void rewrite(std::string& text, Origins* origins, const Append& append) {
  std::string result;
  result.reserve(text.size());
  OriginsWriter writer(origins);
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    append(unicode::next(text, at), result);
    writer.wrote(result.size(), begin, at);
  }
  text.swap(result);
  writer.finish();
}

// matches(found) calls found(begin, end) for each match in order.
template <class Matches>
void replace_matches(std::string& text, Origins* origins, const std::string& to,
                     const Matches& matches) {
  std::string result;
  OriginsWriter writer(origins);
  size_t done = 0;
  matches([&](size_t begin, size_t end) {
    result.append(text, done, begin - done);
    writer.copied(result.size(), done);
    result.append(to);
    writer.wrote(result.size(), begin, end);
    done = end;
  });
  result.append(text, done);
  writer.copied(result.size(), done);
  text.swap(result);
  writer.finish();
}

// Whether a character may become one with those before it in a normal form.
bool joins(char32_t c) { return unicode::is_mark(c) || (c >= 0x1160 && c < 0x1200); }
bool is_not_ascii(char32_t c) { return c >= 0x80; }

// A character and those that `joins_before` become parts that are normalised apart, and followed if
// together they are `result`.
bool trace_parts(const std::string& text, const std::string& result, unicode::Form form,
                 bool (*joins_before)(char32_t), OriginsWriter& writer) {
  std::string joined;
  for (size_t begin = 0, end; begin < text.size(); begin = end) {
    unicode::next(text, end = begin);
    for (size_t next = end; next < text.size(); end = next) {
      if (!joins_before(unicode::next(text, next))) break;
    }
    joined += unicode::normalized(std::string_view(text).substr(begin, end - begin), form);
    writer.wrote(joined.size(), begin, end);
  }
  return joined == result;
}

void trace_form(const std::string& text, const std::string& result, unicode::Form form,
                Origins* origins) {
  for (const auto joins_before : {joins, is_not_ascii}) {
    OriginsWriter writer(origins);
    if (trace_parts(text, result, form, joins_before, writer)) return writer.finish();
  }
  OriginsWriter writer(origins);
  writer.wrote(result.size(), 0, text.size());
  writer.finish();
}

}  // namespace

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
  return [](std::string& text, Origins* origins) {
    rewrite(text, origins,
            [](char32_t c, std::string& result) { unicode::append_lowercase(c, result); });
  };
}

Normalizer strip_accents_normalizer(const Section&) {
  return [](std::string& text, Origins* origins) {
    rewrite(text, origins, [](char32_t c, std::string& result) {
      if (!unicode::is_mark(c)) unicode::append(c, result);
    });
  };
}

Normalizer unicode_form_normalizer(const Section& section) {
  const std::string type = section.text("type");
  const unicode::Form form = type == "NFC"    ? unicode::Form::kNfc
                             : type == "NFD"  ? unicode::Form::kNfd
                             : type == "NFKC" ? unicode::Form::kNfkc
                                              : unicode::Form::kNfkd;
  return [form](std::string& text, Origins* origins) {
    std::string result = unicode::normalized(text, form);
    if (origins && result != text) trace_form(text, result, form, origins);
    text = std::move(result);
  };
}

Normalizer replace_normalizer(const Section& section) {
  const Section pattern = section.at("pattern");
  const std::string to = section.text("content");
  if (pattern.has("String")) {
    const std::string from = pattern.text("String");
    if (from.empty()) throw pattern.error("must not be empty");
    return [from, to](std::string& text, Origins* origins) {
      replace_matches(text, origins, to, [&](const auto& found) {
        for (size_t at, done = 0; (at = text.find(from, done)) != text.npos;)
          found(at, done = at + from.size());
      });
    };
  }
  const Regex regex(pattern.text("Regex"), pattern);
  return [regex, to](std::string& text, Origins* origins) {
    replace_matches(text, origins, to,
                    [&](const auto& found) { regex.for_each_match(text, found); });
  };
}

void strip_spaces(std::string& text, bool left, bool right, Origins* origins) {
  size_t begin = text.size(), end = 0;  // of what is not a space
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    if (unicode::is_whitespace(unicode::next(text, at))) continue;
    begin = std::min(begin, start);
    end = at;
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  begin = std::min(begin, end);
  text = text.substr(begin, end - begin);
  if (origins)
    *origins = Origins(origins->begin() + ptrdiff_t(begin), origins->begin() + ptrdiff_t(end));
}

Normalizer strip_normalizer(const Section& section) {
  const bool left = section.boolean("strip_left", true);
  const bool right = section.boolean("strip_right", true);
  return [left, right](std::string& text, Origins* origins) {
    strip_spaces(text, left, right, origins);
  };
}

Normalizer prepend_normalizer(const Section& section) {
  const std::string prefix = section.text("prepend");
  return [prefix](std::string& text, Origins* origins) {
    if (text.empty()) return;
    text.insert(0, prefix);
    if (origins) origins->insert(origins->begin(), prefix.size(), origins->front());
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
  return [dropped, space](std::string& text, Origins* origins) {
    rewrite(text, origins, [&](char32_t c, std::string& result) {
      if (!dropped(c)) unicode::append(space(c) ? U' ' : c, result);
    });
  };
}

Normalizer sequence_normalizer(const Section& section) {
  std::vector<Normalizer> steps;
  for (const Section& item : section.items("normalizers")) steps.push_back(make_normalizer(item));
  return [steps](std::string& text, Origins* origins) {
    for (const Normalizer& step : steps) step(text, origins);
  };
}

}  // namespace rankwise
