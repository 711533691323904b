// Byte-pair encoding: a word's characters are joined pair by pair, the pair that was learned first
// before others (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909).
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "data/tokenizers/components.h"
#include "data/tokenizers/unicode.h"
#include "data/tokenizers/word_cache.h"

namespace rankwise {
namespace {

// Pairs of ids that become one id; a lower rank goes first.
class Merges {
 public:
  struct Merge {
    int32_t left = -1, right = -1, rank = 0, id = 0;  // left -1: a free slot
  };

  explicit Merges(size_t most) : slots_(std::bit_ceil(2 * most + 1)), mask_(slots_.size() - 1) {}

  void set(const Merge& merge) { slots_[place_of(merge.left, merge.right)] = merge; }
  const Merge* find(int32_t left, int32_t right) const {
    const Merge& merge = slots_[place_of(left, right)];
    return merge.left < 0 ? nullptr : &merge;
  }

 private:
  size_t place_of(int32_t left, int32_t right) const {
    const uint64_t key = uint64_t(uint32_t(left)) << 32 | uint32_t(right);
    size_t at = (key * 0x9E3779B97F4A7C15 >> 20) & mask_;
    while (slots_[at].left >= 0 && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & mask_;
    }
    return at;
  }

  std::vector<Merge> slots_;
  size_t mask_;
};

// The tokens of a word while they are joined: a list in an array.
class Symbols {
 public:
  void add(int32_t id, size_t begin, size_t end) {
    const auto at = static_cast<int32_t>(all_.size());
    if (at > 0) all_.back().next = at;
    all_.push_back({id, at - 1, -1, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }

  void join(const Merges& merges) {
    for (size_t at = 0; at + 1 < all_.size(); ++at) offer(merges, static_cast<int32_t>(at));
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end(), later);
      const Candidate best = queue_.back();
      queue_.pop_back();
      join_at(merges, best);
    }
  }

  void append_ids(std::vector<int32_t>& ids) const {
    for (const Symbol& symbol : all_) {
      if (symbol.id >= 0) ids.push_back(symbol.id);
    }
  }
  void append_tokens(std::vector<PieceToken>& tokens) const {
    for (const Symbol& symbol : all_) {
      if (symbol.id >= 0) tokens.push_back({symbol.id, symbol.begin, symbol.end});
    }
  }

 private:
  struct Symbol {
    int32_t id, previous, next;  // id -1: joined to the one before
    uint32_t begin, end;         // bytes of the word
  };
  struct Candidate {
    int32_t rank, at, id;
  };
  static bool later(const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  }
  Symbol& symbol(int32_t at) { return all_[static_cast<size_t>(at)]; }

  const Merges::Merge* merge_at(const Merges& merges, int32_t at) {
    const Symbol& left = symbol(at);
    return left.id < 0 || left.next < 0 ? nullptr : merges.find(left.id, symbol(left.next).id);
  }

  void offer(const Merges& merges, int32_t at) {
    const Merges::Merge* merge = merge_at(merges, at);
    if (merge == nullptr) return;
    queue_.push_back({merge->rank, at, merge->id});
    std::push_heap(queue_.begin(), queue_.end(), later);
  }

  void join_at(const Merges& merges, const Candidate& best) {
    const Merges::Merge* merge = merge_at(merges, best.at);
    if (merge == nullptr || merge->id != best.id) return;  // another join was quicker
    Symbol& left = symbol(best.at);
    Symbol& right = symbol(left.next);
    left.id = best.id;
    left.end = right.end;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbol(left.next).previous = best.at;
    if (left.previous >= 0) offer(merges, left.previous);
    offer(merges, best.at);
  }

  std::vector<Symbol> all_;
  std::vector<Candidate> queue_;
};

// "a b" or ["a", "b"]
std::pair<std::string, std::string> read_merge(const Section& item) {
  if (item.json().is_array()) {
    if (item.json().size() != 2 || !item.json()[0].is_string() || !item.json()[1].is_string()) {
      throw item.error("must be two texts");
    }
    return {item.json()[0], item.json()[1]};
  }
  const std::string text = item.as_text();
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) {
    throw item.error(fmt::format("'{}' must be two texts and a space between", text));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

// {"token": id}, or the tokens by id, as GGUF has them.
Vocabulary read_vocabulary(const Section& section) {
  if (!section.json().is_array()) return Vocabulary(section);
  std::vector<std::string> tokens;
  for (const Json& token : section.json()) {
    if (!token.is_string()) throw section.error("must be a list of texts");
    tokens.push_back(token);
  }
  if (tokens.empty() || tokens.size() > size_t(kMostTokens)) {
    throw section.error(fmt::format("must have 1 to {} tokens", kMostTokens));
  }
  return Vocabulary(tokens);
}

class Bpe : public Model {
 public:
  explicit Bpe(const Section& section)
      : vocabulary_(read_vocabulary(section.at("vocab"))),
        merges_(section.at("merges").json().size()),
        prefix_(section.text("continuing_subword_prefix", "")),
        suffix_(section.text("end_of_word_suffix", "")),
        unknown_(section.text("unk_token", "")),
        byte_fallback_(section.boolean("byte_fallback", false)),
        ignore_merges_(section.boolean("ignore_merges", false)),
        fuse_unknown_(section.boolean("fuse_unk", false)) {
    if (section.has("dropout") && section.at("dropout").json() != 0) {
      throw section.at("dropout").error("is not supported: ids would be random");
    }
    unknown_id_ = vocabulary_.id_of(unknown_).value_or(-1);
    read_merges(section);
    for (size_t byte = 0; byte < 256; ++byte) {
      byte_ids_[byte] = vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
    }
    for (char32_t c = 0; c < kShort; ++c) {
      std::string text;
      unicode::append(c, text);
      short_ids_[c] = vocabulary_.id_of(text).value_or(-1);
    }
  }

  void append_ids(std::string_view word, std::vector<int32_t>& ids) const override {
    const bool short_enough = word.size() <= WordCache::kLongestWord;
    const uint64_t hash = short_enough || ignore_merges_ ? TokenIndex::hash(word) : 0;
    if (short_enough && cache_.append_known(word, hash, ids)) return;
    const size_t before = ids.size();
    const int32_t whole = ignore_merges_ ? vocabulary_.index().find(word, hash) : -1;
    if (whole >= 0) {
      ids.push_back(whole);
    } else {
      Symbols symbols = characters_of(word);
      symbols.join(merges_);
      symbols.append_ids(ids);
    }
    cache_.remember(word, hash, ids.data() + before, ids.data() + ids.size());
  }

  void append_tokens(std::string_view word, std::vector<PieceToken>& tokens) const override {
    const int32_t whole =
        ignore_merges_ ? vocabulary_.index().find(word, TokenIndex::hash(word)) : -1;
    if (whole >= 0) return tokens.push_back({whole, 0, word.size()});
    Symbols symbols = characters_of(word);
    symbols.join(merges_);
    symbols.append_tokens(tokens);
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

 private:
  static constexpr char32_t kShort = 0x800;  // characters of one or two bytes

  void read_merges(const Section& section) {
    int32_t rank = 0;
    for (const Section& item : section.items("merges")) {
      const auto [left, right] = read_merge(item);
      // The library drops as many bytes as the prefix has, whatever they are.
      const std::string joined = left + right.substr(std::min(prefix_.size(), right.size()));
      const auto id_of = [&](const std::string& token) {
        if (const auto id = vocabulary_.id_of(token)) return *id;
        throw item.error(fmt::format("needs '{}', which the vocab lacks", token));
      };
      const int32_t left_id = id_of(left), right_id = id_of(right);
      merges_.set({left_id, right_id, rank++, id_of(joined)});
    }
  }

  // Unknown ones become bytes, or the unknown token, or nothing.
  Symbols characters_of(std::string_view word) const {
    Symbols symbols;
    bool unknown_waits = false;
    size_t unknown_begin = 0, unknown_end = 0;
    for (size_t at = 0; at < word.size();) {
      const size_t begin = at;
      const char32_t character = unicode::next(word, at);
      const int32_t id = id_of_character(word, begin, at, character);
      if (id < 0 && byte_fallback_ && add_bytes(word, begin, at, symbols)) continue;
      if (id < 0 && unknown_.empty()) continue;
      if (unknown_waits && (id >= 0 || !fuse_unknown_)) {
        symbols.add(known_unknown(), unknown_begin, unknown_end);
        unknown_waits = false;
      }
      if (id >= 0) {
        symbols.add(id, begin, at);
        continue;
      }
      if (!unknown_waits) unknown_begin = begin;
      unknown_end = at;
      unknown_waits = true;
    }
    if (unknown_waits) symbols.add(known_unknown(), unknown_begin, unknown_end);
    return symbols;
  }

  std::string decorated(std::string_view word, size_t begin, size_t end) const {
    std::string text(word.substr(begin, end - begin));
    if (begin > 0) text.insert(0, prefix_);
    if (end == word.size()) text += suffix_;
    return text;
  }

  int32_t id_of_character(std::string_view word, size_t begin, size_t end, char32_t c) const {
    if (!prefix_.empty() || !suffix_.empty()) {
      return vocabulary_.id_of(decorated(word, begin, end)).value_or(-1);
    }
    if (c < kShort) return short_ids_[c];
    const std::string_view text = word.substr(begin, end - begin);
    return vocabulary_.index().find(text, TokenIndex::hash(text));
  }

  bool add_bytes(std::string_view word, size_t begin, size_t end, Symbols& symbols) const {
    const std::string text = decorated(word, begin, end);
    for (const char byte : text) {
      if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
    }
    for (const char byte : text)
      symbols.add(byte_ids_[static_cast<unsigned char>(byte)], begin, end);
    return true;
  }

  int32_t known_unknown() const {
    if (unknown_id_ >= 0) return unknown_id_;
    throw model_error("the tokenizer's unk_token '{}' is not in its vocabulary", unknown_);
  }

  Vocabulary vocabulary_;
  Merges merges_;
  std::string prefix_, suffix_, unknown_;
  bool byte_fallback_, ignore_merges_, fuse_unknown_;
  int32_t unknown_id_ = -1;
  std::array<int32_t, 256> byte_ids_;
  std::array<int32_t, kShort> short_ids_;
  mutable WordCache cache_;
};

}  // namespace

std::unique_ptr<Model> bpe_model(const Section& section) { return std::make_unique<Bpe>(section); }

}  // namespace rankwise
