// The hand-written scanners of words must cut as ICU cuts by the same expressions.
#include "data/tokenizers/word_scanner.h"

#include <gtest/gtest.h>

#include <random>

#include "data/tokenizers/regex.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

Regex regex_of(std::string_view expression) {
  const Json none = Json::object();
  return Regex(std::string(expression), Section(none, "test"));
}

// Characters that ICU's Unicode classes as ours does: ours is newer.
std::u32string characters() {
  std::u32string all =
      U"'''stmdrvlSTMRVLED\u017f  \t\r\n\r\n\u00a0\u2028\u3000aZ09é中½Ⅷ\u0301.,!-_$\U0001f600";
  const Regex letter = regex_of(R"(\p{L})"), number = regex_of(R"(\p{N})");
  std::mt19937 random(3);
  while (all.size() < 800) {
    const char32_t c = random() % 0x20000;
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    unicode::append(c, text);
    bool is_letter = false, is_number = false;
    letter.for_each_match(text, [&](size_t, size_t) { is_letter = true; });
    number.for_each_match(text, [&](size_t, size_t) { is_number = true; });
    const unicode::Class kind = unicode::class_of(c);
    if (is_letter == (kind == unicode::Class::kLetter) &&
        is_number == (kind == unicode::Class::kNumber))
      all.push_back(c);
  }
  return all;
}

class Scanner : public testing::TestWithParam<std::string_view> {};

TEST_P(Scanner, CutsLikeIcu) {
  const WordScanner scan = word_scanner(GetParam());
  ASSERT_NE(scan, nullptr);
  const Regex regex = regex_of(GetParam());
  const std::u32string all = characters();
  std::mt19937 random(11);
  for (int row = 0; row < 4000; ++row) {
    std::string text;
    for (size_t length = random() % 24; length > 0; --length) {
      unicode::append(all[random() % (random() % 2 ? 32 : all.size())], text);
    }
    std::vector<size_t> expected, found;
    regex.for_each_match(text, [&](size_t, size_t end) { expected.push_back(end); });
    for (size_t at = 0; at < text.size();) found.push_back(at = scan(text, at));
    ASSERT_EQ(found, expected) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Words, Scanner, testing::Values(kGpt2Words, kLlama3Words, kQwen2Words),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(Regex, RefusesWhatItCannotHonour) {
  EXPECT_THROW(regex_of("(a"), Error);
  EXPECT_THROW(regex_of("\\p{N}{1,3}+"), Error);
  EXPECT_THROW(regex_of(std::string(20'000, 'a')), Error);
  const Regex slow = regex_of("(a+)+$");
  EXPECT_THROW(slow.for_each_match(std::string(60, 'a') + "b", [](size_t, size_t) {}), Error);
}

}  // namespace
}  // namespace rankwise
