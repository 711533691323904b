// Damaged tokenizer files are refused by name; limits, invalid text, threads and the identity.
#include "data/tokenizers/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <thread>

#include "distributed/core/error.h"
#include "peft/hub/json.h"

namespace rankwise {
namespace {

namespace fs = std::filesystem;
const fs::path kGolden = fs::path(TESTS_DIR) / "golden/tokenizers";

class TokenizerFiles : public testing::Test {
 protected:
  TokenizerFiles() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("rankwise_{}_{}", test->name(), getpid());
    fs::create_directory(folder_);
  }
  ~TokenizerFiles() override { fs::remove_all(folder_); }

  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  std::unique_ptr<Tokenizer> load() { return load_tokenizer(folder_); }

  // The uncased tokenizer after a change.
  std::unique_ptr<Tokenizer> changed(const std::function<void(Json&)>& change) {
    Json root = read_json(kGolden / "uncased/tokenizer.json");
    change(root);
    write("tokenizer.json", root.dump());
    return load();
  }

  // The message of the kModel error that loading throws.
  std::string refusal(const std::function<void(Json&)>& change) {
    try {
      changed(change);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel);
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

#define EXPECT_REFUSED(change, part)                                                \
  do {                                                                              \
    const std::string message = refusal([](Json& root) { change; });                \
    EXPECT_NE(message.find("tokenizer.json: " part), std::string::npos) << message; \
  } while (false)

TEST_F(TokenizerFiles, RefusesDamageByFileAndField) {
  EXPECT_REFUSED(root = Json::array(), "must be an object");
  EXPECT_REFUSED(root.erase("model"), "model is missing");
  EXPECT_REFUSED(root["model"].erase("vocab"), "model.vocab is missing");
  EXPECT_REFUSED(root["model"]["vocab"] = 3, "model.vocab must be an object");
  EXPECT_REFUSED(root["model"]["vocab"] = Json::object(), "model.vocab must be an object");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = "1", "model.vocab gives 'the' an id");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = -1, "model.vocab gives 'the' an id");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = 1.5, "model.vocab gives 'the' an id");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = 4'194'304, "model.vocab gives 'the' an id");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = UINT64_MAX, "model.vocab gives 'the' an id");
  EXPECT_REFUSED(root["model"]["vocab"]["the"] = 3,
                 "model.vocab gives '[SEP]' and 'the' the same id 3");
  EXPECT_REFUSED(root["model"]["unk_token"] = "<unk>", "model has no '<unk>' (unk_token)");
  EXPECT_REFUSED(root["model"]["unk_token"] = 7, "model.unk_token must be a text");
  EXPECT_REFUSED(root["model"]["max_input_chars_per_word"] = 0,
                 "model.max_input_chars_per_word must");
  EXPECT_REFUSED(root["normalizer"]["lowercase"] = "yes",
                 "normalizer.lowercase must be true or false");
  EXPECT_REFUSED(root["normalizer"] = "Lowercase", "normalizer must be an object");
  EXPECT_REFUSED(root["added_tokens"] = 1, "added_tokens must be a list");
  EXPECT_REFUSED(root["added_tokens"][2].erase("content"), "added_tokens[2].content is missing");
  EXPECT_REFUSED(root["added_tokens"][2]["id"] = 77, "added_tokens[2] gives '[CLS]' the id 77");
  EXPECT_REFUSED(root["added_tokens"][2]["content"] = "<x>",
                 "added_tokens[2] gives '<x>' the id 2 of '[CLS]'");
  EXPECT_REFUSED(root["added_tokens"].push_back(root["added_tokens"][2]),
                 "added_tokens[5] repeats '[CLS]'");
  EXPECT_REFUSED(root["post_processor"]["special_tokens"].erase("[SEP]"),
                 "post_processor.special_tokens.[SEP] is missing");
  EXPECT_REFUSED(root["post_processor"]["special_tokens"]["[SEP]"]["ids"][0] = 100'000,
                 "post_processor adds the id 100000");
  EXPECT_REFUSED(root["post_processor"]["pair"].erase(3), "post_processor 'pair' must hold");
  EXPECT_REFUSED(root["post_processor"]["single"][1]["Sequence"]["id"] = "C",
                 "post_processor.single[1].Sequence has the id 'C'");
}

TEST_F(TokenizerFiles, NamesWhatIsNotSupported) {
  EXPECT_REFUSED(root["model"]["type"] = "WordLevel",
                 "model has the type 'WordLevel', which is not supported (known: BPE");
  EXPECT_REFUSED(root["normalizer"]["type"] = "Regular", "normalizer has the type 'Regular'");
  EXPECT_REFUSED(root["pre_tokenizer"]["type"] = "UnicodeScripts",
                 "pre_tokenizer has the type 'UnicodeScripts'");
  EXPECT_REFUSED(root["post_processor"]["type"] = "Own", "post_processor has the type 'Own'");
  EXPECT_REFUSED(root["decoder"]["type"] = "CTC", "decoder has the type 'CTC'");
  EXPECT_REFUSED(
      (root["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", "a("}}}, {"content", ""}}),
      "normalizer.pattern is an expression that is not understood at character");
}

TEST_F(TokenizerFiles, RefusesDamageOfBytePairs) {
  const auto bpe = [](Json& root, const char* merges, const char* more = "{}") {
    root["model"] = {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}};
    root["model"]["merges"] = Json::parse(merges);
    root["model"].update(Json::parse(more));
    root["added_tokens"] = Json::array();
    root["post_processor"] = nullptr;
  };
  EXPECT_REFUSED((root["model"] = {{"type", "BPE"}, {"vocab", {{"a", 0}}}}),
                 "model.merges is missing");
  EXPECT_REFUSED((root["model"] = {{"type", "BPE"}, {"vocab", {{"a", 0}}}, {"merges", 3}}),
                 "model.merges must be a list");
  const auto message = [&](const char* merges, const char* more = "{}") {
    return refusal([&](Json& root) { bpe(root, merges, more); });
  };
  const auto expect = [](const std::string& found, const std::string& part) {
    EXPECT_NE(found.find("tokenizer.json: " + part), std::string::npos) << found;
  };
  expect(message(R"(["a b", "a c"])"), "model.merges[1] needs 'c', which the vocab lacks");
  expect(message(R"([["b", "a"]])"), "model.merges[0] needs 'ba', which the vocab lacks");
  expect(message(R"(["a b c"])"), "model.merges[0] 'a b c' must be two texts");
  expect(message(R"([["a"]])"), "model.merges[0] must be two texts");
  expect(message(R"([7])"), "model.merges[0] must be a text");
  expect(message("[]", R"({"dropout": 0.1})"), "model.dropout is not supported");
  expect(message("[]", R"({"byte_fallback": 1})"), "model.byte_fallback must be true or false");
}

TEST_F(TokenizerFiles, ReadsTheModelWithoutItsTypeAsIn2020) {
  const auto tokenizer = changed([](Json& root) { root["model"].erase("type"); });
  EXPECT_EQ(tokenizer->encode("the", {}, 10).ids,
            load_tokenizer(kGolden / "uncased")->encode("the", {}, 10).ids);
}

TEST_F(TokenizerFiles, SaysWhatVocabTxtLacks) {
  EXPECT_EQ(load(), nullptr);
  const auto message = [this] {
    try {
      load();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  write("vocab.txt", "");
  EXPECT_NE(message().find("vocab.txt: no tokens"), std::string::npos) << message();
  write("vocab.txt", "[UNK]\n[CLS]\nthe\n");
  EXPECT_NE(message().find("vocab.txt: no '[SEP]' (sep_token)"), std::string::npos) << message();
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nth\xff\n");
  EXPECT_NE(message().find("vocab.txt: invalid UTF-8"), std::string::npos) << message();
  write("tokenizer_config.json", R"({"tokenizer_class": "BertJapaneseTokenizer"})");
  EXPECT_NE(message().find("a BertJapaneseTokenizer needs a tokenizer.json"), std::string::npos);
  write("tokenizer_config.json", R"({"truncation_side": "middle"})");
  write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\nthe\n");
  EXPECT_NE(message().find("truncation_side must be left or right"), std::string::npos)
      << message();
}

TEST(Tokenizer, RefusesAMaxLengthBelowTheSpecialTokens) {
  const auto tokenizer = load_tokenizer(kGolden / "uncased");
  EXPECT_EQ(tokenizer->encode("the film", {}, 2).ids, (std::vector<int32_t>{2, 3}));
  for (const int64_t length : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1}}) {
    try {
      tokenizer->encode("the film", {}, length);
      FAIL() << length;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    }
  }
  EXPECT_THROW(tokenizer->encode("the", "film", 2), Error);
}

TEST(Tokenizer, TakesInvalidBytesForReplacementCharacters) {
  const auto tokenizer = load_tokenizer(kGolden / "accents_kept");  // does not drop U+FFFD
  for (const std::string bytes :
       {"\xff", "\x80", "\xc3", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe4\xb8"}) {
    EXPECT_EQ(tokenizer->encode("the " + bytes + " film", {}, 100).ids,
              tokenizer->encode("the \xef\xbf\xbd film", {}, 100).ids);
  }
}

TEST(Tokenizer, KnowsItsTokensAndLimits) {
  const auto tokenizer = load_tokenizer(kGolden / "added");
  const Json root = read_json(kGolden / "added/tokenizer.json");
  const auto words = static_cast<int64_t>(root["model"]["vocab"].size());
  EXPECT_EQ(tokenizer->vocabulary_size(), words + 8);
  EXPECT_EQ(tokenizer->id_of("[SEP]"), 3);
  EXPECT_EQ(tokenizer->id_of("<new>"), words);
  EXPECT_EQ(tokenizer->id_of("absent"), std::nullopt);
  EXPECT_EQ(tokenizer->model_max_length(), std::nullopt);
  EXPECT_EQ(load_tokenizer(kGolden / "overridden")->model_max_length(), 64);
  EXPECT_EQ(load_tokenizer(kGolden / "vocab_txt")->model_max_length(), std::nullopt);  // 1e30
  EXPECT_EQ(tokenizer->decode({-1, 1 << 30}, false), "");
}

TEST_F(TokenizerFiles, IdentityChangesWithTheIdsAndWithNothingElse) {
  const std::string same = load_tokenizer(kGolden / "uncased")->identity();
  EXPECT_EQ(same.size(), 16u);
  EXPECT_EQ(changed([](Json& root) { root.erase("padding"); })->identity(), same);
  EXPECT_EQ(changed([](Json& root) { root["truncation"]["max_length"] = 9; })->identity(), same);
  EXPECT_EQ(changed([](Json& root) { root["decoder"]["cleanup"] = false; })->identity(), same);
  EXPECT_NE(changed([](Json& root) { root["normalizer"]["lowercase"] = false; })->identity(), same);
  EXPECT_NE(changed([](Json& root) {
              std::swap(root["model"]["vocab"]["the"], root["model"]["vocab"]["film"]);
            })->identity(),
            same);
  EXPECT_NE(load_tokenizer(kGolden / "overridden")->identity(), same);
}

TEST(Tokenizer, EncodesTheSameFromSeveralThreads) {
  const auto tokenizer = load_tokenizer(kGolden / "forms");
  const std::string text = "The naïve ﬁlm was good e\u0301\u0327";
  const std::vector<int32_t> ids = tokenizer->encode(text, {}, 100).ids;
  std::vector<std::vector<int32_t>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : found) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) mine = tokenizer->encode(text, {}, 100).ids;
      });
    }
  }
  for (const auto& mine : found) EXPECT_EQ(mine, ids);
}

TEST(Tokenizer, TakesHugeHostileRows) {
  const auto tokenizer = load_tokenizer(kGolden / "uncased");
  std::string marks = "a";
  for (int i = 0; i < 200'000; ++i) marks += i % 2 ? "\u0327" : "\u0315";
  EXPECT_EQ(tokenizer->encode(marks, {}, 100).ids.size(), 3u);
  EXPECT_EQ(tokenizer->encode(std::string(4'000'000, 'x'), {}, 100).ids,
            (std::vector<int32_t>{2, 1, 3}));
}

}  // namespace
}  // namespace rankwise
