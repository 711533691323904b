// Where stop texts end, with a tokenizer whose tokens hold several letters.
#include "data/stop_strings.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

std::vector<int64_t> ids_of(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode_plain(text);
  return {ids.begin(), ids.end()};
}

// After how many tokens of `text` one of the texts ends; -1: never.
int64_t first_end(const Tokenizer& tokenizer, const std::string& text,
                  std::vector<std::string> stops) {
  const StopStrings rule(tokenizer, std::move(stops));
  const std::vector<int64_t> ids = ids_of(tokenizer, text);
  for (size_t count = 1; count <= ids.size(); ++count) {
    if (rule.end({ids.begin(), ids.begin() + static_cast<ptrdiff_t>(count)}))
      return static_cast<int64_t>(count);
  }
  return -1;
}

class StopStringsTest : public ::testing::Test {
 protected:
  const std::unique_ptr<Tokenizer> tokenizer_ =
      load_tokenizer(std::string(TESTS_DIR) + "/golden/tokenizers/gpt2");
};

TEST_F(StopStringsTest, EndWithTheTokenThatCompletesThem) {
  const std::string text = "the film was wonderful, the end 😀 of it";
  const auto tokens = [&](const std::string& part) {
    return std::ssize(ids_of(*tokenizer_, part));
  };
  for (const std::string stop : {"was", "wonder", ", t", "😀", "m w"}) {
    const int64_t count = first_end(*tokenizer_, text, {stop});
    ASSERT_GT(count, 0) << stop;
    std::vector<int64_t> ids = ids_of(*tokenizer_, text);
    ids.resize(static_cast<size_t>(count));
    const std::vector<int32_t> all(ids.begin(), ids.end());
    const std::vector<int32_t> before(all.begin(), all.end() - 1);
    EXPECT_NE(tokenizer_->decode(all, false).find(stop), std::string::npos) << stop;
    EXPECT_EQ(tokenizer_->decode(before, false).find(stop), std::string::npos) << stop;
  }
  EXPECT_EQ(first_end(*tokenizer_, text, {"nowhere", "zebra"}), -1);
  EXPECT_EQ(first_end(*tokenizer_, text, {"nowhere", "it"}), tokens(text));
}

TEST_F(StopStringsTest, AreNotFoundAgainInWhatCameBefore) {
  const StopStrings rule(*tokenizer_, {"film"});
  std::vector<int64_t> ids = ids_of(*tokenizer_, "film");
  EXPECT_TRUE(rule.end(ids));
  ids.push_back(ids_of(*tokenizer_, "!")[0]);
  EXPECT_FALSE(rule.end(ids));
}

TEST(ParseStopStrings, TakesCommasOrJson) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(parse_stop_strings(""), Texts());
  EXPECT_EQ(parse_stop_strings("a, b"), (Texts{"a", " b"}));
  EXPECT_EQ(parse_stop_strings("[\"a,\", \"\\n\"]"), (Texts{"a,", "\n"}));
  EXPECT_THROW(parse_stop_strings("[1]"), Error);
  EXPECT_THROW(parse_stop_strings("[\"a\""), Error);
}

TEST_F(StopStringsTest, MayNotBeEmpty) { EXPECT_THROW(StopStrings(*tokenizer_, {""}), Error); }

}  // namespace
}  // namespace rankwise
