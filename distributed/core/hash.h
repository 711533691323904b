// A hash of bytes that tells contents apart: not cryptographic, the same on every machine of one
// byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace rankwise {

// Each step is a bijection of the state and of the word, so that contents which differ in one word
// always differ in their hash.
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
  uint64_t value() const { return state_; }

 private:
  void step(uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 32;
  }
  uint64_t state_ = 0x243F6A8885A308D3u;
};

inline uint64_t hash_of_text(std::string_view text) {
  Hash hash;
  hash.add(text.data(), text.size());
  return hash.value();
}

}  // namespace rankwise
