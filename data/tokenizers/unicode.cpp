// The character classes, case and normal forms of unicode.h, on ICU's C functions.
#include "data/tokenizers/unicode.h"

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <memory>

#include "distributed/core/error.h"

namespace rankwise::unicode {
namespace {

void check(UErrorCode status, const char* what) {
  if (U_FAILURE(status)) throw machine_error("ICU cannot {}: {}", what, u_errorName(status));
}

// Whether the character existed in that version of Unicode.
bool exists_in(int version, char32_t character) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(character), age);
  return age[0] < version || (age[0] == version && age[1] == 0);
}

bool in_category(char32_t character, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(character)) & mask) != 0;
}

uint8_t combining_class(char32_t character) {
  const uint8_t order = u_getCombiningClass(static_cast<UChar32>(character));
  return order > 0 && exists_in(9, character) ? order : 0;
}

const UNormalizer2* instance(Form form) {
  const bool compatible = form == Form::kNfkc || form == Form::kNfkd;
  const bool compose = form == Form::kNfc || form == Form::kNfkc;
  UErrorCode status = U_ZERO_ERROR;
  const UNormalizer2* found = unorm2_getInstance(
      nullptr, compatible ? "nfkc" : "nfc", compose ? UNORM2_COMPOSE : UNORM2_DECOMPOSE, &status);
  check(status, "normalize");
  return found;
}

const USet* characters_of_unicode_9() {
  static const USet* set = [] {
    UErrorCode status = U_ZERO_ERROR;
    const std::u16string pattern = u"[:age=9.0:]";
    USet* made = uset_openPattern(pattern.data(), static_cast<int32_t>(pattern.size()), &status);
    check(status, "list the characters of Unicode 9");
    uset_freeze(made);
    return made;
  }();
  return set;
}

// The capitals of Unicode 16 and 17, which an older ICU does not know.
char32_t newest_lowercase(char32_t capital) {
  if (capital >= 0x10D50 && capital <= 0x10D65) return capital + 0x20;  // Garay
  if (capital >= 0x16EA0 && capital <= 0x16EB8) return capital + 0x1B;  // Beria Erfe
  switch (capital) {
    case 0x1C89:
    case 0xA7CC:
    case 0xA7CE:
    case 0xA7D2:
    case 0xA7D4:
    case 0xA7DA:
      return capital + 1;
    case 0xA7CB:
      return 0x264;
    case 0xA7DC:
      return 0x19B;
  }
  return capital;
}

std::string to_utf8(std::u16string_view wide) {
  std::string text;
  for (size_t at = 0; at < wide.size();) {
    UChar32 character;
    U16_NEXT(wide, at, wide.size(), character);
    append(static_cast<char32_t>(character), text);
  }
  return text;
}

}  // namespace

std::u16string to_utf16(std::string_view text) {
  std::u16string wide(text.size(), u'\0');  // never longer than UTF-8
  int32_t length = 0;
  UErrorCode status = U_ZERO_ERROR;
  u_strFromUTF8(wide.data(), static_cast<int32_t>(wide.size()), &length, text.data(),
                static_cast<int32_t>(text.size()), &status);
  check(status, "read UTF-8");
  wide.resize(static_cast<size_t>(length));
  return wide;
}

char32_t next(std::string_view text, size_t& at) {
  UChar32 character;
  U8_NEXT_UNSAFE(reinterpret_cast<const uint8_t*>(text.data()), at, character);
  return static_cast<char32_t>(character);
}

void append(char32_t character, std::string& text) {
  uint8_t bytes[U8_MAX_LENGTH];
  size_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, static_cast<UChar32>(character));
  text.append(reinterpret_cast<const char*>(bytes), length);
}

std::string with_replacements(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    if (bytes[at] < 0x80) {
      valid.push_back(text[at++]);
      continue;
    }
    UChar32 character;
    U8_NEXT_OR_FFFD(bytes, at, text.size(), character);
    append(static_cast<char32_t>(character), valid);
  }
  return valid;
}

bool is_whitespace(char32_t character) { return u_isUWhiteSpace(static_cast<UChar32>(character)); }

// The exceptions below are characters whose category changed after Unicode 8 or 9.

bool is_punctuation(char32_t character) {
  if (character < 0x80)
    return character > ' ' && character < 0x7F && !u_isalnum(UChar32(character));
  if (character == 0x166D || character == 0x111C9) return true;
  return in_category(character, U_GC_P_MASK) && exists_in(8, character);
}

bool is_control(char32_t character) {
  if (character == '\t' || character == '\n' || character == '\r') return false;
  return in_category(character, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK) &&
         exists_in(8, character);
}

bool is_nonspacing_mark(char32_t character) {
  if (character == 0x1734) return true;
  if (!in_category(character, U_GC_MN_MASK) || !exists_in(8, character)) return false;
  return character != 0x1885 && character != 0x1886 && character != 0xA9BD && character != 0x111C9;
}

bool is_mark(char32_t character) {
  if (character == 0x1CF2 || character == 0x1CF3) return true;
  return in_category(character, U_GC_M_MASK) && exists_in(9, character) && character != 0x111C9;
}

void append_lowercase(char32_t character, std::string& text) {
  const auto lower = static_cast<char32_t>(u_tolower(static_cast<UChar32>(character)));
  append(lower == character ? newest_lowercase(character) : lower, text);
  if (character == 0x130) append(0x307, text);  // İ, the only one that becomes two
}

std::string uppercase(std::string_view text) {
  const std::u16string source = to_utf16(text);
  std::u16string result(3 * source.size(), u'\0');  // no character becomes more than three
  UErrorCode status = U_ZERO_ERROR;
  const int32_t length =
      u_strToUpper(result.data(), static_cast<int32_t>(result.size()), source.data(),
                   static_cast<int32_t>(source.size()), "", &status);
  if (status != U_STRING_NOT_TERMINATED_WARNING) check(status, "write capitals");
  result.resize(static_cast<size_t>(length));
  return to_utf8(result);
}

void append_decomposed(char32_t character, std::u32string& text) {
  static const UNormalizer2* normalizer = instance(Form::kNfd);
  UChar parts[32];
  UErrorCode status = U_ZERO_ERROR;
  const int32_t length =
      unorm2_getDecomposition(normalizer, static_cast<UChar32>(character), parts, 32, &status);
  check(status, "decompose");
  if (length < 0 || !exists_in(9, character)) return text.push_back(character);
  for (int32_t at = 0; at < length;) {
    UChar32 part;
    U16_NEXT(parts, at, length, part);
    text.push_back(static_cast<char32_t>(part));
  }
}

void order_marks(std::u32string& text) {
  const auto is_starter = [](char32_t character) { return combining_class(character) == 0; };
  for (auto at = text.begin(); at != text.end();) {
    const auto begin = std::find_if_not(at, text.end(), is_starter);
    at = std::find_if(begin, text.end(), is_starter);
    std::stable_sort(begin, at, [](char32_t left, char32_t right) {
      return combining_class(left) < combining_class(right);
    });
  }
}

std::string normalized(std::string_view text, Form form) {
  if (std::all_of(text.begin(), text.end(), [](unsigned char byte) { return byte < 0x80; })) {
    return std::string(text);
  }
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UNormalizer2, decltype(&unorm2_close)> normalizer(
      unorm2_openFiltered(instance(form), characters_of_unicode_9(), &status), &unorm2_close);
  const std::u16string source = to_utf16(text);
  std::u16string result(4 * source.size() + 64, u'\0');
  const auto run = [&] {
    status = U_ZERO_ERROR;
    return unorm2_normalize(normalizer.get(), source.data(), static_cast<int32_t>(source.size()),
                            result.data(), static_cast<int32_t>(result.size()), &status);
  };
  const int32_t length = run();
  if (result.resize(static_cast<size_t>(length)); status == U_BUFFER_OVERFLOW_ERROR) run();
  check(status, "normalize");
  return to_utf8(result);
}

}  // namespace rankwise::unicode
