// Views of a token store's rows, and the hash that tells two stores apart. Makes none: see
// prepare.cpp.
#include "data/token_store.h"

#include <fmt/format.h>

#include <cstring>

namespace rankwise {
namespace {

// Not cryptographic: each step is a bijection of the state and of the word, so that stores which
// differ in one word always differ in their hash.
class Hash {
 public:
  void add(const void* data, size_t bytes) {
    step(bytes);
    const char* at = static_cast<const char*>(data);
    for (; bytes >= sizeof(uint64_t); at += sizeof(uint64_t), bytes -= sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, at, sizeof word);
      step(word);
    }
    uint64_t rest = 0;
    if (bytes > 0) std::memcpy(&rest, at, bytes);
    step(rest);
  }
  template <class T>
  void add(std::span<const T> values) {
    add(values.data(), values.size_bytes());
  }
  std::string text() const { return fmt::format("{:016x}", state_); }

 private:
  void step(uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 32;
  }
  uint64_t state_ = 0x243F6A8885A308D3u;
};

}  // namespace

std::vector<int64_t> TokenStore::lengths() const {
  std::vector<int64_t> lengths(static_cast<size_t>(rows()));
  for (int64_t row = 0; row < rows(); ++row) lengths[static_cast<size_t>(row)] = length(row);
  return lengths;
}

std::span<const int32_t> TokenStore::types(int64_t row) const {
  return token_type_ids.empty() ? token_type_ids : span(token_type_ids, offsets, row);
}

std::span<const int32_t> TokenStore::labels_of(int64_t row) const {
  return label_offsets.empty() ? labels.first(0) : span(labels, label_offsets, row);
}

std::string hash_of(const TokenStore& store) {
  Hash hash;
  hash.add(store.offsets);
  hash.add(store.input_ids);
  hash.add(store.token_type_ids);
  hash.add(store.label_offsets);
  hash.add(store.labels);
  for (const std::string& name : store.label_names) hash.add(name.data(), name.size());
  hash.add(&store.truncated_rows, sizeof store.truncated_rows);
  return hash.text();
}

}  // namespace rankwise
