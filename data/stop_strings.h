// Texts that end a generated text (--stop), found as transformers' stop_strings finds them.
#pragma once

#include <string>
#include <vector>

#include "data/tokenizers/tokenizer.h"

namespace rankwise {

// "a, b" → "a", " b"; or a JSON list, for texts with commas and line ends. Errors: kUsage.
std::vector<std::string> parse_stop_strings(const std::string& text);

class StopStrings {
 public:
  // The tokenizer outlives this. Errors: kUsage: an empty text.
  StopStrings(const Tokenizer& tokenizer, std::vector<std::string> stops);

  // Whether one of the texts ends within the last token, special tokens being texts too. Decodes
  // the last few ids only.
  bool end(const std::vector<int64_t>& ids) const;

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  size_t window_ = 0;  // ids that are enough to hold the longest of them
};

}  // namespace rankwise
