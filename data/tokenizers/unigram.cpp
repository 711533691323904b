// Unigram: the cut of a word into tokens whose log-probabilities have the greatest sum (Kudo 2018,
// https://arxiv.org/abs/1804.10959), found from left to right.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/word_cache.h"

namespace rankwise {
namespace {

constexpr double kUnknownPenalty = 10;  // below the least score

// Tokens by their bytes. Node 0 is the root; a node's next one by hash of (node, byte).
class Trie {
 public:
  explicit Trie(const std::vector<std::string_view>& tokens) {
    size_t bytes = 0;
    for (const std::string_view token : tokens) bytes += token.size();
    slots_.resize(std::bit_ceil(bytes + bytes / 2 + 2));
    for (size_t id = 0; id < tokens.size(); ++id) {
      uint32_t node = 0;
      for (const char byte : tokens[id]) {
        Slot& slot = slots_[place_of(node, byte)];
        if (slot.next == 0) slot = {node, static_cast<uint32_t>(tokens_.size()), byte};
        if (slot.next == tokens_.size()) tokens_.push_back(-1);
        node = slot.next;
      }
      if (node > 0) tokens_[node] = static_cast<int32_t>(id);  // the last of equal texts
    }
  }

  uint32_t next(uint32_t node, char byte) const { return slots_[place_of(node, byte)].next; }
  int32_t token(uint32_t node) const { return tokens_[node]; }  // -1: none ends here

 private:
  struct Slot {
    uint32_t node = 0, next = 0;  // next 0: a free slot
    char byte = 0;
  };

  size_t place_of(uint32_t node, char byte) const {
    const uint64_t key = uint64_t(node) << 8 | static_cast<unsigned char>(byte);
    const size_t mask = slots_.size() - 1;
    size_t at = (key * 0x9E3779B97F4A7C15 >> 24) & mask;
    while (slots_[at].next != 0 && (slots_[at].node != node || slots_[at].byte != byte)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Slot> slots_;
  std::vector<int32_t> tokens_ = {-1};
};

class Unigram : public Model {
 public:
  explicit Unigram(const Section& section)
      : scores_(read_scores(section)),
        vocabulary_(read_texts(section)),
        trie_(vocabulary_.tokens()),
        byte_fallback_(section.boolean("byte_fallback", false)) {
    if (section.has("unk_id")) {
      unknown_ = static_cast<int32_t>(section.integer("unk_id", 0, vocabulary_.size() - 1));
    }
    unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
    for (size_t byte = 0; byte < 256; ++byte) {
      byte_ids_[byte] = vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    }
  }

  void append_ids(std::string_view word, std::vector<int32_t>& ids) const override {
    const bool short_enough = word.size() <= WordCache::kLongestWord;
    const uint64_t hash = short_enough ? TokenIndex::hash(word) : 0;
    if (short_enough && cache_.append_known(word, hash, ids)) return;
    const size_t before = ids.size();
    append_best(word, [&ids](int32_t id, std::string_view) { ids.push_back(id); });
    cache_.remember(word, hash, ids.data() + before, ids.data() + ids.size());
  }

  void append_tokens(std::string_view word, std::vector<PieceToken>& tokens) const override {
    append_best(word, [&](int32_t id, std::string_view text) {
      const auto begin = static_cast<size_t>(text.data() - word.data());
      tokens.push_back({id, begin, begin + text.size()});
    });
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  // The best way that ends at a byte.
  struct Best {
    double score = 0;
    int64_t begin = -1;  // of its last token; -1: none found yet
    int32_t id = -1;
  };

  static std::vector<double> read_scores(const Section& section) {
    std::vector<double> scores;
    for (const Section& item : section.items("vocab")) {
      const Json& pair = item.json();
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_number()) {
        throw item.error("must be a token and its score");
      }
      scores.push_back(pair[1].get<double>());
    }
    if (scores.empty()) throw section.at("vocab").error("must not be empty");
    return scores;
  }

  static std::vector<std::string> read_texts(const Section& section) {
    std::vector<std::string> texts;
    for (const Json& pair : section.at("vocab").json()) texts.push_back(pair[0]);
    if (texts.size() > size_t(kMostTokens)) throw section.at("vocab").error("is too long");
    return texts;
  }

  std::vector<Best> best_ways(std::string_view word) const {
    std::vector<Best> best(word.size() + 1);
    for (size_t begin = 0; begin < word.size();) {
      size_t character_end = begin;
      unicode::next(word, character_end);
      bool character_known = false;
      const double score = best[begin].score;
      uint32_t node = 0;
      for (size_t at = begin; at < word.size() && (node = trie_.next(node, word[at])) != 0;) {
        const int32_t id = trie_.token(node);
        if (++at; id < 0) continue;
        improve(best[at], score + scores_[static_cast<size_t>(id)], begin, id);
        character_known |= at == character_end;
      }
      if (!character_known) {
        improve(best[character_end], score + unknown_score_, begin, known_unknown());
      }
      begin = character_end;
    }
    return best;
  }

  static void improve(Best& best, double score, size_t begin, int32_t id) {
    if (best.begin < 0 || score > best.score) best = {score, static_cast<int64_t>(begin), id};
  }

  // append(id, its part of the word) for each token.
  template <class Token>
  void append_best(std::string_view word, const Token& append) const {
    const std::vector<Best> best = best_ways(word);
    std::vector<std::string_view> tokens;  // from the end; neighbouring unknown ones as one
    bool fusing = false;
    for (size_t end = word.size(); end > 0;) {
      const auto begin = static_cast<size_t>(best[end].begin);
      const bool unknown = best[end].id == unknown_;
      if (unknown && fusing) {
        tokens.back() = word.substr(begin, tokens.back().size() + end - begin);
      } else {
        tokens.push_back(word.substr(begin, end - begin));
      }
      fusing = unknown;
      end = begin;
    }
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) append_id(*token, append);
  }

  template <class Token>
  void append_id(std::string_view token, const Token& append) const {
    const int32_t id = vocabulary_.index().find(token, TokenIndex::hash(token));
    if (id >= 0) return append(id, token);
    const auto byte_id = [this](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
    const auto has_id = [&](char byte) { return byte_id(byte) >= 0; };
    if (!byte_fallback_ || !std::all_of(token.begin(), token.end(), has_id)) {
      return append(known_unknown(), token);
    }
    for (const char byte : token) append(byte_id(byte), token);
  }

  int32_t known_unknown() const {
    if (unknown_ >= 0) return unknown_;
    throw model_error("a text has characters that the tokenizer does not know, and no unk_id");
  }

  std::vector<double> scores_;
  Vocabulary vocabulary_;
  Trie trie_;
  bool byte_fallback_;
  int32_t unknown_ = -1;
  double unknown_score_;
  std::array<int32_t, 256> byte_ids_;
  mutable WordCache cache_;
};

}  // namespace

std::unique_ptr<Model> unigram_model(const Section& section) {
  return std::make_unique<Unigram>(section);
}

}  // namespace rankwise
