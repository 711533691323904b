// The expressions by which published models cut words, written out by hand: ten times as fast as a
// general engine. A test compares each with ICU's reading of the same expression.
#pragma once

#include <cstddef>
#include <string_view>

namespace rankwise {

// Where the word ends that begins at text[at]; at < text.size(). Words leave no gaps.
using WordScanner = size_t (*)(std::string_view text, size_t at);

WordScanner word_scanner(std::string_view expression);  // nullptr: not one of those
size_t scan_gpt2_word(std::string_view text, size_t at);

extern const std::string_view kGpt2Words, kLlama3Words, kQwen2Words;  // the expressions

}  // namespace rankwise
