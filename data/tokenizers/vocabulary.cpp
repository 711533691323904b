// The vocabulary of vocabulary.h and its hash table.
#include "data/tokenizers/vocabulary.h"

#include <fmt/format.h>

#include <bit>

namespace rankwise {

uint64_t TokenIndex::hash(std::string_view text) {
  uint64_t hash = kEmptyHash;
  for (const char byte : text) hash = extend(hash, byte);
  return hash;
}

void TokenIndex::reserve(size_t entries) {
  slots_.assign(std::bit_ceil(2 * entries + 1), Slot{});  // at most half full
  mask_ = slots_.size() - 1;
  entries_.reserve(entries);
}

void TokenIndex::insert(std::string_view text, int32_t id) {
  const uint64_t key = hash(text);
  if (find(text, key) >= 0) return;
  size_t at = key & mask_;
  while (slots_[at].entry >= 0) at = (at + 1) & mask_;
  slots_[at] = {static_cast<uint32_t>(key >> 32), static_cast<int32_t>(entries_.size())};
  entries_.emplace_back(text, id);
}

int32_t TokenIndex::find(std::string_view text, uint64_t key) const {
  const auto tag = static_cast<uint32_t>(key >> 32);
  for (size_t at = key & mask_; slots_[at].entry >= 0; at = (at + 1) & mask_) {
    if (slots_[at].tag != tag) continue;
    const auto& [known, id] = entries_[static_cast<size_t>(slots_[at].entry)];
    if (known == text) return id;
  }
  return -1;
}

Vocabulary::Vocabulary(const Section& section) {
  const auto* tokens = section.json().get_ptr<const Json::object_t*>();
  if (tokens == nullptr || tokens->empty()) {
    throw section.error("must be an object of tokens and ids");
  }
  size_t bytes = 0;
  for (const auto& [token, id] : *tokens) bytes += token.size();
  buffer_.reserve(bytes);  // so that the views below stay
  index_.reserve(tokens->size());
  for (const auto& [token, value] : *tokens) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() >= uint64_t(kMostTokens)) {
      throw section.error(fmt::format("gives '{}' an id that is not an integer from 0 to {}", token,
                                      kMostTokens - 1));
    }
    const auto id = value.get<size_t>();
    if (id >= tokens_.size()) tokens_.resize(id + 1);
    if (!tokens_[id].empty()) {
      throw section.error(
          fmt::format("gives '{}' and '{}' the same id {}", tokens_[id], token, id));
    }
    buffer_ += token;
    tokens_[id] = std::string_view(buffer_).substr(buffer_.size() - token.size());
    index_.insert(tokens_[id], static_cast<int32_t>(id));
  }
}

Vocabulary::Vocabulary(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  buffer_.reserve(bytes);
  index_.reserve(texts.size());
  for (const std::string& text : texts) {
    const size_t begin = buffer_.size();
    buffer_ += text;
    tokens_.push_back(std::string_view(buffer_).substr(begin));
  }
  for (size_t id = texts.size(); id-- > 0;) index_.insert(tokens_[id], static_cast<int32_t>(id));
}

std::optional<int32_t> Vocabulary::id_of(std::string_view token) const {
  const int32_t id = index_.find(token, TokenIndex::hash(token));
  if (id < 0) return std::nullopt;
  return id;
}

std::string_view Vocabulary::token(int32_t id) const {
  return id >= 0 && id < size() ? tokens_[static_cast<size_t>(id)] : std::string_view();
}

}  // namespace rankwise
