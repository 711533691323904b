// The pre-tokenizers that cut at character classes: at spaces, at punctuation, between words.
#include <array>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

enum class Class : uint8_t {
  kSpace,  // ends a piece, belongs to none
  kAlone,  // a piece of its own
  kWord,   // runs of one class make a piece
  kSymbol,
};

// Cuts pieces where the class of characters changes.
class ClassSplit {
 public:
  explicit ClassSplit(Class (*class_of)(char32_t)) : class_of_(class_of) {
    for (char32_t c = 0; c < 0x80; ++c) ascii_[c] = class_of(c);
  }

  void operator()(Pieces& pieces) const {
    std::vector<std::string_view> cut;
    for (const std::string_view piece : pieces.texts) split(piece, cut);
    pieces.texts.swap(cut);
  }

 private:
  void split(std::string_view text, std::vector<std::string_view>& cut) const {
    size_t begin = 0;  // of the piece at hand
    Class current = Class::kSpace;
    const auto close = [&](size_t end) {
      if (current != Class::kSpace && end > begin) cut.push_back(text.substr(begin, end - begin));
      begin = end;
    };
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const auto byte = static_cast<unsigned char>(text[at]);
      const Class found = byte < 0x80 ? (++at, ascii_[byte]) : class_of_(unicode::next(text, at));
      if (found == current && found != Class::kAlone) continue;
      close(start);
      current = found;
    }
    close(text.size());
  }

  Class (*class_of_)(char32_t);
  std::array<Class, 128> ascii_;
};

Class bert_class(char32_t c) {
  if (unicode::is_whitespace(c)) return Class::kSpace;
  return unicode::is_punctuation(c) ? Class::kAlone : Class::kWord;
}

Class word_class(char32_t c) {  // \w+|[^\w\s]+
  if (unicode::is_whitespace(c)) return Class::kSpace;
  return unicode::is_word(c) ? Class::kWord : Class::kSymbol;
}

Class space_class(char32_t c) { return unicode::is_whitespace(c) ? Class::kSpace : Class::kWord; }

}  // namespace

PreTokenizer bert_pre_tokenizer(const Section&) { return ClassSplit(bert_class); }
PreTokenizer whitespace_pre_tokenizer(const Section&) { return ClassSplit(word_class); }
PreTokenizer whitespace_split_pre_tokenizer(const Section&) { return ClassSplit(space_class); }

PreTokenizer sequence_pre_tokenizer(const Section& section) {
  std::vector<PreTokenizer> steps;
  for (const Section& item : section.items("pretokenizers")) {
    steps.push_back(make_pre_tokenizer(item));
  }
  return [steps](Pieces& pieces) {
    for (const PreTokenizer& step : steps) step(pieces);
  };
}

}  // namespace rankwise
