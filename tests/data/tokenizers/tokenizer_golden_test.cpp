// Ids, type ids and decoded texts of odd strings must be those of Hugging Face
// (tests/golden/tokenizers), and so must what each component makes of every code point of Unicode.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "data/tokenizers/components.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/unicode.h"

namespace rankwise {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(TESTS_DIR) / "golden/tokenizers";

class GoldenTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, AgreesWithHuggingFace) {
  const auto tokenizer = load_tokenizer(kGolden / GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const Json cases = read_json(kGolden / GetParam() / "cases.json");
  ASSERT_GT(cases.size(), 70u);
  for (const Json& row : cases) {
    const std::string text = row[0];
    std::optional<std::string> pair;
    if (!row[1].is_null()) pair = row[1];
    const Encoding encoding = tokenizer->encode(text, pair, row[2].get<int64_t>());
    EXPECT_EQ(encoding.ids, row[3].get<std::vector<int32_t>>()) << row;
    EXPECT_EQ(encoding.type_ids, row[4].get<std::vector<int32_t>>()) << row;
    EXPECT_EQ(tokenizer->decode(encoding.ids, true), row[5]) << row;
    EXPECT_EQ(tokenizer->decode(encoding.ids, false), row[6]) << row;
    EXPECT_EQ(tokenizer->encode_placed(text).ids, tokenizer->encode_plain(text)) << row;
    const bool uncut = tokenizer->encode(text, pair, INT64_MAX).ids == encoding.ids;
    EXPECT_EQ(encoding.truncated, !uncut) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, GoldenTokenizer,
                         testing::Values("uncased", "cased", "accents_kept", "added", "forms",
                                         "stripped", "overridden", "vocab_txt", "gpt2", "roberta",
                                         "llama3", "qwen2", "smollm", "camel", "llama2", "suffix",
                                         "prefix", "splits", "opt", "unigram", "unigram_bytes",
                                         "unigram_old", "t5_model", "llama_model",
                                         "llama_model_new"),
                         [](const auto& info) { return std::string(info.param); });

// Where tokens stand (offsets.json). Where characters became
// others together (marks composed, a text replaced), Hugging Face names one of them and we all.
TEST(Tokens, StandWhereHuggingFaceSees) {
  const Json folders = read_json(kGolden / "offsets.json");
  ASSERT_GT(folders.size(), 15u);
  int64_t equal = 0, wider = 0;
  for (const auto& [folder, rows] : folders.items()) {
    const auto tokenizer = load_tokenizer(kGolden / folder);
    for (const Json& row : rows) {
      const PlacedTokens tokens = tokenizer->encode_placed(row[0].get_ref<const std::string&>());
      ASSERT_EQ(tokens.spans.size(), row[1].size()) << folder << row;
      for (size_t i = 0; i < tokens.spans.size(); ++i) {
        const TextSpan ours = tokens.spans[i], theirs{row[1][i][0], row[1][i][1]};
        EXPECT_TRUE(ours.begin <= theirs.begin && theirs.end <= ours.end)
            << folder << row[0] << ", token " << i;
        (ours == theirs ? equal : wider) += 1;
      }
    }
  }
  EXPECT_EQ(wider, 62);
  EXPECT_EQ(equal, 20207);
}

using Rewrite = std::function<std::string(const std::string&)>;

Rewrite rewrite_of(const Section& component) {
  const std::string type = component.text("type");
  constexpr std::string_view kPreTokenizers[] = {
      "BertPreTokenizer", "WhitespaceSplit", "Whitespace", "Digits", "Punctuation", "Split"};
  if (std::ranges::find(kPreTokenizers, type) == std::end(kPreTokenizers)) {
    return [normalizer = make_normalizer(component)](std::string text) {
      normalizer(text, nullptr);
      return text;
    };
  }
  return [pre_tokenizer = make_pre_tokenizer(component)](const std::string& text) {
    Pieces pieces{{text}, {}, nullptr};
    pre_tokenizer(pieces);
    return fmt::format("{}", fmt::join(pieces.texts, "|"));
  };
}

// A hash of what becomes of each code point between letters and marks.
std::string hash_of_block(const Rewrite& rewrite, char32_t first) {
  std::string all;
  for (char32_t c = first; c < first + 0x1000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "aB";
    unicode::append(c, text);
    if (!all.empty()) all += '\n';
    all += rewrite(text + "\u0315\u0327c");
  }
  return fmt::format("{:016x}", TokenIndex::hash(all)).substr(0, 8);
}

TEST(Characters, EveryComponentTreatsEveryCodePointLikeHuggingFace) {
  const Json rows = read_json(kGolden / "characters.json");
  ASSERT_EQ(rows.size(), 17u);
  for (const Json& row : rows) {
    const Rewrite rewrite = rewrite_of(Section(row.at("component"), "characters.json"));
    std::istringstream blocks(row.at("blocks").get<std::string>());
    std::string expected;
    int64_t count = 0;
    for (char32_t first = 0; blocks >> expected; first += 0x1000, ++count) {
      EXPECT_EQ(hash_of_block(rewrite, first), expected)
          << row.at("component") << " from U+" << std::hex << uint32_t(first);
    }
    EXPECT_EQ(count, 0x110);
  }
}

}  // namespace
}  // namespace rankwise
