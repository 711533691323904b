// Regular expressions of a tokenizer.json, by ICU. They are written for Oniguruma, whose syntax
// differs in corners: what would mean something else here is refused.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizers/section.h"

struct URegularExpression;

namespace rankwise {

class Regex {
 public:
  // Errors: kModel at `where`: an expression that is not understood, or too long.
  Regex(const std::string& expression, const Section& where);

  // Matches in order, as byte offsets; an empty one right behind another does not count.
  // Thread-safe. Errors: kModel: the expression takes too long on this text.
  void for_each_match(std::string_view text,
                      const std::function<void(size_t begin, size_t end)>& found) const;

 private:
  std::shared_ptr<URegularExpression> compiled_;
};

}  // namespace rankwise
