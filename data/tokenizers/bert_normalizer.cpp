// BertNormalizer in one pass: cleans control characters and spaces, sets Chinese characters apart,
// strips accents, lowercases.
#include <array>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

struct BertOptions {
  bool clean_text, handle_chinese_chars, strip_accents, lowercase;
};

// The ideographs that the library sets apart. It starts one block at 2B920 instead of 2B820, which
// decides ids, and so do we.
bool is_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
         (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

class BertNormalizer {
 public:
  explicit BertNormalizer(const BertOptions& options) : options_(options) {
    for (char32_t c = 0; c < 0x80; ++c) ascii_[c] = static_cast<int8_t>(mapped_ascii(c));
  }

  void operator()(std::string& text, Origins* origins) const {
    size_t at = 0, kept = 0;
    while (!origins && at < text.size() && is_ascii(text[at])) {  // in place: ASCII never grows
      const int8_t mapped = ascii_[static_cast<size_t>(text[at++])];
      text[kept] = static_cast<char>(mapped);
      kept += mapped >= 0;
    }
    if (at == text.size() && !origins) return text.resize(kept);
    std::string result(text, 0, kept);
    result.reserve(text.size() + text.size() / 4);
    OriginsWriter writer(origins);
    rest(text, at, result, writer);
    text.swap(result);
    writer.finish();
  }

 private:
  static bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }

  int mapped_ascii(char32_t c) const {  // -1: dropped
    if (options_.clean_text && (c == 0 || unicode::is_control(c))) return -1;
    if (options_.clean_text && unicode::is_whitespace(c)) return ' ';
    return static_cast<int>(options_.lowercase && c >= 'A' && c <= 'Z' ? c + 32 : c);
  }

  // An ASCII character ends a run of others: no mark moves across it.
  void rest(std::string_view text, size_t at, std::string& result, OriginsWriter& writer) const {
    Run run;
    while (at < text.size()) {
      const size_t begin = at;
      if (!is_ascii(text[at])) {
        add(unicode::next(text, at), run.characters);
        run.from.resize(run.characters.size(), {begin, at});
        continue;
      }
      flush(run, result, writer);
      const int8_t mapped = ascii_[static_cast<size_t>(text[at++])];
      if (mapped >= 0) result.push_back(static_cast<char>(mapped));
      writer.wrote(result.size(), begin, at);
    }
    flush(run, result, writer);
  }

  struct Run {
    std::u32string characters;
    std::vector<TextSpan> from;  // where each stands in the text
  };

  void add(char32_t c, std::u32string& run) const {
    if (options_.clean_text) {
      if (c == 0xFFFD || unicode::is_control(c)) return;
      if (unicode::is_whitespace(c)) c = ' ';
    }
    const bool apart = options_.handle_chinese_chars && is_chinese(c);
    if (apart) run.push_back(' ');
    if (options_.strip_accents) {
      unicode::append_decomposed(c, run);
    } else {
      run.push_back(c);
    }
    if (apart) run.push_back(' ');
  }

  void flush(Run& run, std::string& result, OriginsWriter& writer) const {
    if (options_.strip_accents) unicode::order_marks(run.characters);
    for (size_t i = 0; i < run.characters.size(); ++i) {
      const char32_t c = run.characters[i];
      if (options_.strip_accents && unicode::is_nonspacing_mark(c)) continue;
      if (options_.lowercase) {
        unicode::append_lowercase(c, result);
      } else {
        unicode::append(c, result);
      }
      writer.wrote(result.size(), run.from[i].begin, run.from[i].end);
    }
    run.characters.clear();
    run.from.clear();
  }

  BertOptions options_;
  std::array<int8_t, 128> ascii_;
};

}  // namespace

Normalizer bert_normalizer(const Section& section) {
  BertOptions options;
  options.clean_text = section.boolean("clean_text", true);
  options.handle_chinese_chars = section.boolean("handle_chinese_chars", true);
  options.lowercase = section.boolean("lowercase", true);
  options.strip_accents = section.boolean("strip_accents").value_or(options.lowercase);
  return BertNormalizer(options);
}

}  // namespace rankwise
