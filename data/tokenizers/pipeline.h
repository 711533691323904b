// A tokenizer put together from the parts of a tokenizer.json.
#pragma once

#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/components.h"
#include "data/tokenizers/tokenizer.h"

namespace rankwise {

// What the files around a tokenizer.json decide.
struct TokenizerSettings {
  std::optional<int64_t> model_max_length;
  bool truncate_left = false;    // "truncation_side"
  bool clean_up_spaces = false;  // "clean_up_tokenization_spaces"
  bool strip_decoded = false;    // no spaces around a decoded text
  bool odd_to_first = false;  // of a cut pair's places: to the first sequence, not the longer one
};

// Parts that stand in for those that a tokenizer.json describes.
struct OwnParts {
  std::unique_ptr<Model> model;
  PreTokenizer pre_tokenizer;
  Decoder decoder;
};

class Pipeline : public Tokenizer {
 public:
  // `root`: all of a tokenizer.json. Its truncation and padding are not looked at.
  Pipeline(const Section& root, const TokenizerSettings& settings, OwnParts own = {});

  Encoding encode(std::string_view text, std::optional<std::string_view> pair,
                  int64_t max_length) const override;
  WordEncoding encode_words(const std::vector<std::string>& words,
                            int64_t max_length) const override;
  std::vector<int32_t> encode_plain(std::string_view text) const override { return ids_of(text); }
  PlacedTokens encode_placed(std::string_view text) const override;
  PairEncoding joined(std::span<const int32_t> first,
                      std::span<const int32_t> second) const override;
  std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const override;
  size_t unsettled_bytes() const override;
  int64_t vocabulary_size() const override;
  std::optional<int32_t> id_of(std::string_view token) const override;
  std::optional<int64_t> model_max_length() const override { return settings_.model_max_length; }
  std::string identity() const override { return identity_; }

 private:
  std::vector<int32_t> ids_of(std::string_view text) const;
  void append_ids(std::string_view text, bool starts_row, std::vector<int32_t>& ids) const;
  // normal: the normalized part of a row that `text` is of; origins: its bytes' in the row.
  void append_placed(std::string_view text, bool starts_row, const std::string& normal,
                     const Origins& origins, PlacedTokens& tokens) const;
  void truncate(std::vector<int32_t>& ids, size_t length) const;
  // How many tokens of its own a row may have. Errors: kUsage: none.
  size_t room(const std::vector<Template::Part>& parts, int64_t max_length, bool pair) const;

  TokenizerSettings settings_;
  Normalizer normalizer_;  // may be empty, like the next one and the decoder
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<Model> model_;
  Template template_;
  Decoder decoder_;
  AddedTokens added_;
  bool byte_level_ = false;  // a word that follows another begins with a space
  std::string identity_;
};

}  // namespace rankwise
