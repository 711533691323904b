// Precompiled: sentencepiece's table of replacements (precompiled_charsmap), a double-array trie
// and the texts it points to, read as Hugging Face's library reads it: by grapheme, and of all
// entries that begin a grapheme the shortest counts.
#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include <array>
#include <optional>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

std::string from_base64(const Section& section) {
  const std::string text = section.as_text();
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t digit = kDigits.find(c);
    if (c == '=') break;
    if (digit == kDigits.npos) throw section.error("is not base64");
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if ((count += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8)));
  }
  return bytes;
}

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

class CharsMap {
 public:
  // The size of the trie in bytes, the trie, the texts with a zero behind each.
  explicit CharsMap(const Section& section) {
    const std::string bytes = from_base64(section);
    const size_t trie_bytes = bytes.size() < 4 ? 0 : little_endian(bytes);
    if (bytes.size() < 4 || trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4) {
      throw section.error("is damaged");
    }
    for (size_t at = 4; at < 4 + trie_bytes; at += 4) {
      units_.push_back(little_endian(std::string_view(bytes).substr(at)));
    }
    texts_ = bytes.substr(4 + trie_bytes);
    if (unicode::with_replacements(texts_) != texts_) throw section.error("is damaged");
  }

  // What replaces the shortest entry that `text` begins with.
  std::optional<std::string_view> replacement(std::string_view text) const {
    if (units_.empty()) return std::nullopt;
    size_t node = offset(units_[0]);
    for (const char byte : text) {
      node ^= static_cast<unsigned char>(byte);
      if (byte == 0 || node >= units_.size()) return std::nullopt;
      const uint32_t unit = units_[node];
      if ((unit & (1U << 31 | 0xFF)) != static_cast<unsigned char>(byte)) return std::nullopt;
      node ^= offset(unit);
      if (node >= units_.size()) return std::nullopt;
      if (unit >> 8 & 1) return text_at(units_[node] & ~(1U << 31));
    }
    return std::nullopt;
  }

 private:
  static size_t offset(uint32_t unit) { return size_t(unit >> 10) << ((unit & 1U << 9) >> 6); }

  std::optional<std::string_view> text_at(size_t at) const {
    if (at > texts_.size()) return std::nullopt;
    const std::string_view rest = std::string_view(texts_).substr(at);
    return rest.substr(0, rest.find('\0'));
  }

  std::vector<uint32_t> units_;
  std::string texts_;
};

// Where user-perceived characters begin, by ICU.
class Graphemes {
 public:
  Graphemes() : iterator_(open()) {}

  void for_each(std::string_view text, const std::function<void(std::string_view)>& found) const {
    UErrorCode status = U_ZERO_ERROR;
    UText bytes = UTEXT_INITIALIZER;
    utext_openUTF8(&bytes, text.data(), static_cast<int64_t>(text.size()), &status);
    const std::unique_ptr<UBreakIterator, decltype(&ubrk_close)> mine(
        ubrk_clone(iterator_.get(), &status), &ubrk_close);
    ubrk_setUText(mine.get(), &bytes, &status);
    if (U_FAILURE(status))
      throw machine_error("ICU cannot find characters: {}", u_errorName(status));
    int32_t begin = ubrk_first(mine.get());
    for (int32_t end; (end = ubrk_next(mine.get())) != UBRK_DONE; begin = end) {
      found(text.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    }
    utext_close(&bytes);
  }

 private:
  static std::shared_ptr<UBreakIterator> open() {
    UErrorCode status = U_ZERO_ERROR;
    UBreakIterator* opened = ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &status);
    if (U_FAILURE(status))
      throw machine_error("ICU cannot find characters: {}", u_errorName(status));
    return {opened, ubrk_close};
  }
  std::shared_ptr<UBreakIterator> iterator_;
};

class Precompiled {
 public:
  explicit Precompiled(const Section& section)
      : map_(std::make_shared<CharsMap>(section.at("precompiled_charsmap"))) {
    for (char c = 0; c >= 0 && c < 127; ++c) {
      plain_[static_cast<size_t>(c)] = c >= ' ' && !map_->replacement(std::string_view(&c, 1));
    }
  }

  void operator()(std::string& text, Origins* origins) const {
    size_t plain = 0;  // characters that stay, and that nothing joins
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    if (plain == text.size()) return;
    const size_t begin = plain > 0 ? plain - 1 : 0;  // a mark may join the last one
    std::string result = text.substr(0, begin);
    OriginsWriter writer(origins);
    writer.copied(begin, 0);
    graphemes_.for_each(std::string_view(text).substr(begin), [&](std::string_view grapheme) {
      append(grapheme, static_cast<size_t>(grapheme.data() - text.data()), result, writer);
    });
    text.swap(result);
    writer.finish();
  }

 private:
  bool is_plain(char byte) const { return byte >= 0 && plain_[static_cast<size_t>(byte)]; }

  // `place`: of the grapheme in the text.
  void append(std::string_view grapheme, size_t place, std::string& result,
              OriginsWriter& writer) const {
    constexpr size_t kLongest = 6;  // bytes; such graphemes are looked up by character only
    if (const auto whole =
            grapheme.size() < kLongest ? map_->replacement(grapheme) : std::nullopt) {
      result += *whole;
      return writer.wrote(result.size(), place, place + grapheme.size());
    }
    for (size_t at = 0; at < grapheme.size();) {
      const size_t begin = at;
      unicode::next(grapheme, at);
      const std::string_view character = grapheme.substr(begin, at - begin);
      result += map_->replacement(character).value_or(character);
      writer.wrote(result.size(), place + begin, place + at);
    }
  }

  std::shared_ptr<const CharsMap> map_;
  Graphemes graphemes_;
  std::array<bool, 128> plain_{};
};

}  // namespace

Normalizer precompiled_normalizer(const Section& section) { return Precompiled(section); }

}  // namespace rankwise
