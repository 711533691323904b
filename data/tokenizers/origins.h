// Where the bytes of a rewritten text came from. Costs nothing where nobody asks.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rankwise {

// Bytes [begin, end) of a text, whole characters.
struct TextSpan {
  size_t begin = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

// For each byte of a rewritten text the characters that it was made of.
using Origins = std::vector<TextSpan>;

// Of a text that is not rewritten yet. Valid UTF-8.
Origins origins_of(std::string_view text);

// Follows a text while it is written anew. `origins`, of the text before, become those of the text
// now at finish(); null: does nothing.
class OriginsWriter {
 public:
  explicit OriginsWriter(Origins* origins) : origins_(origins) {}
  // The bytes written since the last call, `size` with those before, were made of [begin, end) of
  // the text before; begin == end: they are new.
  void wrote(size_t size, size_t begin, size_t end);
  // They are copies of as many bytes from `begin` on.
  void copied(size_t size, size_t begin);
  void finish();

 private:
  Origins* origins_;
  Origins written_;
};

}  // namespace rankwise
