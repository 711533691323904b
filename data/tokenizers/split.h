// Cutting pieces where a pattern matches, as the library's split does it.
#pragma once

#include "data/tokenizers/components.h"

namespace rankwise {

struct Span {
  size_t begin = 0, end = 0;
  bool match = false;  // else what lies between matches
};
// All of a text, in order, as spans.
using Matcher = std::function<void(std::string_view text, std::vector<Span>& spans)>;

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
// "Isolated" and the like. Errors: kModel.
SplitBehavior read_behavior(const Section& section, const std::string& name);

// `invert`: matches and what lies between change places.
PreTokenizer splitter(Matcher matcher, SplitBehavior behavior, bool invert);
Matcher matcher_of_characters(bool (*matches)(char32_t));
// {"String": …} or {"Regex": …}. Errors: kModel: an expression that ICU does not understand.
Matcher matcher_of_pattern(const Section& pattern);
PreTokenizer gpt2_words();  // ByteLevel's own expression

}  // namespace rankwise
