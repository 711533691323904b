// Characters as Hugging Face's `tokenizers` library sees them, by ICU. The library froze some
// tables at Unicode 8 (categories) and 9 (normal forms): characters that came later have no
// category, no combining class and no decomposition there, and so here. Not a general Unicode
// library.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rankwise::unicode {

// The code point at text[at]; moves `at` past it. `text` is valid UTF-8.
char32_t next(std::string_view text, size_t& at);
void append(char32_t character, std::string& text);
std::string with_replacements(std::string_view text);  // invalid bytes become U+FFFD

bool is_whitespace(char32_t character);       // White_Space, today's Unicode
bool is_word(char32_t character);             // \w of UTS 18, Unicode 16
bool is_punctuation(char32_t character);      // ASCII punctuation, or P* of Unicode 8
bool is_control(char32_t character);          // Cc, Cf, Co of Unicode 8, but not \t \n \r
bool is_nonspacing_mark(char32_t character);  // Mn of Unicode 8
bool is_mark(char32_t character);             // M* of Unicode 9
bool is_numeric(char32_t character);          // N*, today's Unicode

// For words, by Unicode 16: L*, N*, White_Space, the rest.
enum class Class : unsigned char { kNone, kLetter, kNumber, kSpace, kOther };
Class class_of(char32_t character);

// Rust's char::to_lowercase: one character at a time, so a final sigma is no special case.
void append_lowercase(char32_t character, std::string& text);

std::string uppercase(std::string_view text);  // Python's str.upper: ß becomes SS

// NFD in two steps: each character's canonical decomposition, then the order of the marks.
void append_decomposed(char32_t character, std::u32string& text);
void order_marks(std::u32string& text);

std::u16string to_utf16(std::string_view text);

enum class Form { kNfc, kNfd, kNfkc, kNfkd };
std::string normalized(std::string_view text, Form form);

}  // namespace rankwise::unicode
