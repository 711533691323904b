// The classes by which words are cut. ICU 72 knows Unicode 15; what 15.1 to 17 added stands here.
#include <unicode/uchar.h>

#include <algorithm>
#include <vector>

#include "data/tokenizers/unicode.h"

namespace rankwise::unicode {
namespace {

struct Range {
  char32_t first, last;
};

// \w: the letters and numbers below, and marks.
constexpr Range kNewWordCharacters[] = {
    {0x897, 0x897},     {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},
    {0x105C0, 0x105F3}, {0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85},
    {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC}, {0x11380, 0x11389}, {0x1138B, 0x1138B},
    {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2},
    {0x116D0, 0x116E3}, {0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A},
    {0x13460, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79},
    {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                 {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                 {0x1E5F1, 0x1E5FA}};
constexpr Range kNewestNumbers[] = {{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}};  // Unicode 17

template <size_t count>
bool among(const Range (&ranges)[count], char32_t character) {
  return std::any_of(std::begin(ranges), std::end(ranges), [character](const Range& range) {
    return character >= range.first && character <= range.last;
  });
}

bool in_category(char32_t character, uint32_t mask) {
  return (U_GET_GC_MASK(static_cast<UChar32>(character)) & mask) != 0;
}

std::vector<Class> classes_of_all() {
  std::vector<Class> classes(0x110000, Class::kOther);
  for (char32_t c = 0; c < classes.size(); ++c) {
    if (in_category(c, U_GC_L_MASK)) classes[c] = Class::kLetter;
    if (in_category(c, U_GC_N_MASK)) classes[c] = Class::kNumber;
    if (is_whitespace(c)) classes[c] = Class::kSpace;
  }
  const auto set = [&](const Range& range, Class kind) {
    std::fill(classes.begin() + range.first, classes.begin() + range.last + 1, kind);
  };
  for (const Range& range : kNewLetters) set(range, Class::kLetter);
  for (const Range& range : kNewNumbers) set(range, Class::kNumber);
  return classes;
}

}  // namespace

Class class_of(char32_t character) {
  static const std::vector<Class> classes = classes_of_all();
  return classes[character];
}

bool is_word(char32_t character) {
  return in_category(character, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
         u_isUAlphabetic(static_cast<UChar32>(character)) || character == 0x200C ||
         character == 0x200D || among(kNewWordCharacters, character);
}

bool is_numeric(char32_t character) {
  return in_category(character, U_GC_N_MASK) || among(kNewNumbers, character) ||
         among(kNewestNumbers, character);
}

}  // namespace rankwise::unicode
