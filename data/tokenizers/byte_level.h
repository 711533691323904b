// GPT-2's alphabet: every byte is a printable character, so that any text is made of known ones.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace rankwise {

class ByteAlphabet {
 public:
  ByteAlphabet();
  std::string_view character_of(unsigned char byte) const { return characters_[byte]; }
  // Appends the bytes that `characters` stand for. False, and nothing appended: one stands for
  // none.
  bool append_bytes(std::string_view characters, std::string& bytes) const;

 private:
  std::array<std::string, 256> characters_;
  std::array<int16_t, 0x150> bytes_;  // by code point; -1: none
};

const ByteAlphabet& byte_alphabet();

}  // namespace rankwise
