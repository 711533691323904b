// WordPiece: cuts a word into the longest tokens of the vocabulary, from its start on.
#include <fmt/format.h>

#include <algorithm>

#include "data/tokenizers/components.h"

namespace rankwise {
namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

class WordPiece : public Model {
 public:
  explicit WordPiece(const Section& section)
      : vocabulary_(section.at("vocab")),
        most_characters_(section.has("max_input_chars_per_word")
                             ? section.integer("max_input_chars_per_word", 1, INT32_MAX)
                             : 100) {
    const std::string unknown = section.text("unk_token", "[UNK]");
    const std::string prefix = section.text("continuing_subword_prefix", "##");
    const auto unknown_id = vocabulary_.id_of(unknown);
    if (!unknown_id) {
      throw section.error(fmt::format("has no '{}' (unk_token) in its vocab", unknown));
    }
    unknown_id_ = *unknown_id;
    following_.reserve(vocabulary_.tokens().size());
    for (const std::string_view token : vocabulary_.tokens()) {
      longest_ = std::max(longest_, token.size());
      if (token.size() > prefix.size() && token.starts_with(prefix)) {
        following_.insert(token.substr(prefix.size()), *vocabulary_.id_of(token));
      }
    }
  }

  void append_ids(std::string_view word, std::vector<int32_t>& ids) const override {
    const size_t before = ids.size();
    if (cut(word, [&ids](int32_t id, size_t, size_t) { ids.push_back(id); })) return;
    ids.resize(before);
    ids.push_back(unknown_id_);
  }

  void append_tokens(std::string_view word, std::vector<PieceToken>& tokens) const override {
    const size_t before = tokens.size();
    if (cut(word, [&tokens](int32_t id, size_t begin, size_t end) {
          tokens.push_back({id, begin, end});
        }))
      return;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(before), tokens.end());
    tokens.push_back({unknown_id_, 0, word.size()});
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  struct Match {
    int32_t id = -1;
    size_t length = 0;  // 0: no match
  };

  // token(id, begin, end) for each. False: the word is unknown, whatever came before.
  template <class Token>
  bool cut(std::string_view word, const Token& token) const {
    if (std::count_if(word.begin(), word.end(), starts_character) > most_characters_) return false;
    for (size_t at = 0; at < word.size();) {
      const Match match =
          longest_match(at == 0 ? vocabulary_.index() : following_, word.substr(at));
      if (match.length == 0) return false;
      token(match.id, at, at + match.length);
      at += match.length;
    }
    return true;
  }

  Match longest_match(const TokenIndex& candidates, std::string_view rest) const {
    constexpr size_t kRemembered = 256;  // hashes of prefixes; longer prefixes are hashed again
    uint64_t hashes[kRemembered];
    const size_t longest = std::min(longest_, rest.size());
    uint64_t hash = TokenIndex::kEmptyHash;
    for (size_t i = 0; i < std::min(longest, kRemembered); ++i) {
      hashes[i] = hash = TokenIndex::extend(hash, rest[i]);
    }
    for (size_t length = longest; length > 0; --length) {
      if (length < rest.size() && !starts_character(rest[length])) continue;
      const std::string_view text = rest.substr(0, length);
      const uint64_t key = length <= kRemembered ? hashes[length - 1] : TokenIndex::hash(text);
      const int32_t id = candidates.find(text, key);
      if (id >= 0) return {id, length};
    }
    return {};
  }

  Vocabulary vocabulary_;
  int64_t most_characters_;
  int32_t unknown_id_ = 0;
  size_t longest_ = 0;    // bytes of the longest token
  TokenIndex following_;  // tokens inside a word, without their "##"
};

}  // namespace

std::unique_ptr<Model> wordpiece_model(const Section& section) {
  return std::make_unique<WordPiece>(section);
}

}  // namespace rankwise
