// Added tokens: texts that become one id before the model sees them, such as [SEP].
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/components.h"

namespace rankwise {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;      // decode can leave it out
  bool normalized = false;   // looked for in the normalized text, else in the text as it came
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false, rstrip = false;  // takes the spaces before, after it too
};

class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(AddedTokens&&) = default;  // moved, not copied: patterns point into the map
  AddedTokens& operator=(AddedTokens&&) = default;
  // `list`: the items of "added_tokens". Errors: kModel: an id that the vocabulary gives to another
  // token, a token that is there twice.
  AddedTokens(const std::vector<Section>& list, const Vocabulary& vocabulary,
              const Normalizer& normalizer);

  // Cuts text at the tokens that are (not) looked for in normalized text: `token` for each of them
  // and what it takes up, `other` for what is between, in order, never empty.
  void split(std::string_view text, bool normalized,
             const std::function<void(int32_t, std::string_view)>& token,
             const std::function<void(std::string_view)>& other) const;

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  int64_t size() const;  // greatest id + 1

 private:
  struct Pattern {
    std::string text;  // the content, normalized where the token wants it
    const AddedToken* token;
  };
  // Patterns by first byte, longest first.
  struct Patterns {
    std::array<std::vector<Pattern>, 256> by_first_byte;
    const Pattern* at_start_of(std::string_view text) const;
  };

  std::map<int32_t, AddedToken> by_id_;
  std::map<std::string, int32_t, std::less<>> ids_;
  Patterns raw_, normalized_;
};

}  // namespace rankwise
