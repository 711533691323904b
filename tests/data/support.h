// What the tests of data share: files that go away, the text of an expected Error, a tokenizer
// whose ids can be read, and stores written down by hand.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "data/token_store.h"
#include "data/tokenizers/tokenizer.h"
#include "distributed/core/error.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

inline const std::filesystem::path kGolden = std::filesystem::path(TESTS_DIR) / "golden" / "data";

// For tasks that ask nothing of the model.
inline Config no_config() { return {Json::object(), "config.json"}; }

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "data-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// The message of the Error that `call` throws; fails where it throws none, or one of another kind.
template <class Call>
std::string error_of(Call&& call, ErrorKind kind = ErrorKind::kInput) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

// Every byte is a token, with 1 before the text and 2 after it; a pair follows as type 1.
class ByteTokenizer : public Tokenizer {
 public:
  Encoding encode(std::string_view text, std::optional<std::string_view> pair,
                  int64_t max_length) const override {
    Encoding encoding{{1}, {0}, false};
    add(text, 0, encoding);
    if (pair) add(*pair, 1, encoding);
    if (std::ssize(encoding.ids) > max_length) {
      encoding.ids.resize(static_cast<size_t>(max_length));
      encoding.type_ids.resize(static_cast<size_t>(max_length));
      encoding.truncated = true;
    }
    return encoding;
  }
  std::vector<int32_t> encode_plain(std::string_view text) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  PlacedTokens encode_placed(std::string_view text) const override {
    PlacedTokens tokens{encode_plain(text), {}};
    for (size_t at = 0; at < text.size(); ++at) tokens.spans.push_back({at, at + 1});
    return tokens;
  }
  PairEncoding joined(std::span<const int32_t> first,
                      std::span<const int32_t> second) const override {
    PairEncoding encoding{{{1}, {0}, false}, first.size() + 2};
    for (const auto& [ids, type] : {std::pair(first, 0), {second, 1}}) {
      encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
      encoding.ids.push_back(2);
      encoding.type_ids.resize(encoding.ids.size(), type);
    }
    return encoding;
  }
  WordEncoding encode_words(const std::vector<std::string>& words,
                            int64_t max_length) const override {
    std::string text;
    std::vector<int32_t> word_of = {-1};
    for (size_t i = 0; i < words.size(); ++i) {
      text += words[i];
      word_of.resize(text.size() + 1, static_cast<int32_t>(i));
    }
    WordEncoding encoding{encode(text, std::nullopt, max_length), std::move(word_of)};
    encoding.words.resize(encoding.ids.size(), -1);
    return encoding;
  }
  std::string decode(const std::vector<int32_t>&, bool) const override { return ""; }
  size_t unsettled_bytes() const override { return 0; }
  int64_t vocabulary_size() const override { return 256; }
  std::optional<int32_t> id_of(std::string_view) const override { return std::nullopt; }
  std::optional<int64_t> model_max_length() const override { return std::nullopt; }
  std::string identity() const override { return "bytes"; }

 private:
  static void add(std::string_view text, int32_t type, Encoding& encoding) {
    for (const char c : text) encoding.ids.push_back(static_cast<unsigned char>(c));
    encoding.ids.push_back(2);
    encoding.type_ids.resize(encoding.ids.size(), type);
  }
};

// A store with arrays of its own. Rows without type ids get zeros where another row has some.
inline TokenStore store_of(const std::vector<Example>& rows) {
  struct Arrays {
    std::vector<int64_t> offsets{0}, label_offsets{0};
    std::vector<int32_t> ids, types, labels;
    std::vector<float> values;
  };
  auto arrays = std::make_shared<Arrays>();
  bool typed = false;
  for (const Example& row : rows) {
    arrays->ids.insert(arrays->ids.end(), row.input_ids.begin(), row.input_ids.end());
    arrays->types.insert(arrays->types.end(), row.token_type_ids.begin(), row.token_type_ids.end());
    arrays->types.resize(arrays->ids.size());
    arrays->labels.insert(arrays->labels.end(), row.labels.begin(), row.labels.end());
    arrays->offsets.push_back(std::ssize(arrays->ids));
    arrays->values.insert(arrays->values.end(), row.values.begin(), row.values.end());
    arrays->label_offsets.push_back(std::ssize(arrays->labels) + std::ssize(arrays->values));
    typed |= !row.token_type_ids.empty();
  }
  TokenStore store;
  store.offsets = arrays->offsets;
  store.input_ids = arrays->ids;
  if (typed) store.token_type_ids = arrays->types;
  store.label_offsets = arrays->label_offsets;
  store.labels = arrays->labels;
  store.values = arrays->values;
  store.owner = arrays;
  return store;
}

}  // namespace rankwise
