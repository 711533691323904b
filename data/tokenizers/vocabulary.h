// Tokens and their ids, both ways. One buffer holds all texts; nothing here knows how words are
// cut.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizers/section.h"

namespace rankwise {

constexpr int64_t kMostTokens = int64_t{1} << 22;  // ids above it are taken for damage

// Texts to ids by open addressing. The hash grows byte by byte: one pass over a word gives the
// hashes of all its prefixes. The texts must outlive it.
class TokenIndex {
 public:
  static constexpr uint64_t kEmptyHash = 0xCBF29CE484222325;  // FNV-1a
  static uint64_t extend(uint64_t hash, char byte) {
    return (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  }
  static uint64_t hash(std::string_view text);

  void reserve(size_t entries);  // once, before the first insert, and never more entries than this
  void insert(std::string_view text, int32_t id);  // the first of equal texts stays
  int32_t find(std::string_view text, uint64_t hash_of_text) const;  // -1: not there

 private:
  struct Slot {
    uint32_t tag = 0;    // high half of the hash
    int32_t entry = -1;  // -1: free
  };
  size_t mask_ = 0;
  std::vector<Slot> slots_{1};
  std::vector<std::pair<std::string_view, int32_t>> entries_;
};

class Vocabulary {
 public:
  // {"token": id, …}. Errors: kModel: an id out of range or used twice, an empty object.
  explicit Vocabulary(const Section& section);
  // By position. Of equal texts the last one's id is found.
  explicit Vocabulary(const std::vector<std::string>& texts);

  // Not copied or moved: the tokens are views of the buffer.
  Vocabulary(const Vocabulary&) = delete;

  std::optional<int32_t> id_of(std::string_view token) const;
  std::string_view token(int32_t id) const;  // empty where no token has this id
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }    // greatest id + 1
  const std::vector<std::string_view>& tokens() const { return tokens_; }  // by id
  const TokenIndex& index() const { return index_; }

 private:
  std::string buffer_;
  std::vector<std::string_view> tokens_;
  TokenIndex index_;
};

}  // namespace rankwise
