// Text to token ids. One file a kind of tokenizer; the list is in tokenizers.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/origins.h"

namespace rankwise {

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;  // same length
  bool truncated = false;         // tokens were cut off
};

// Tokens of a text and where they stand in it: what they were made of, whole characters. A token
// that the tokenizer puts before the text stands where its first character does.
struct PlacedTokens {
  std::vector<int32_t> ids;
  std::vector<TextSpan> spans;  // same length
};

struct PairEncoding : Encoding {
  size_t second_begin = 0;  // where the second sequence's tokens begin
};

struct WordEncoding : Encoding {
  std::vector<int32_t> words;  // same length: which word a token is of; special tokens: -1
};

// Thread-safe: const calls may run side by side.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // With the special tokens of the post-processor. `max_length` (special tokens included): longer
  // is cut, `longest_first` for pairs as Hugging Face does it. Never pads, whatever tokenizer.json
  // says.
  virtual Encoding encode(std::string_view text, std::optional<std::string_view> pair,
                          int64_t max_length) const = 0;
  // A text that is in words already, as transformers' is_split_into_words has it (byte-level BPE:
  // with add_prefix_space). Cut and surrounded like a text.
  virtual WordEncoding encode_words(const std::vector<std::string>& words,
                                    int64_t max_length) const = 0;
  // The text's own tokens: no special ones round it.
  virtual std::vector<int32_t> encode_plain(std::string_view text) const = 0;
  // The same tokens, and where each stands in the text, which must be valid UTF-8. Slower.
  virtual PlacedTokens encode_placed(std::string_view text) const = 0;
  // Two sequences of ids with the special tokens of the post-processor. Never cut.
  virtual PairEncoding joined(std::span<const int32_t> first,
                              std::span<const int32_t> second) const = 0;
  // As transformers' decode, which also cleans spaces up where tokenizer_config.json says so.
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const = 0;
  // How many bytes at the end of a decoded text further ids may still change, but for a character
  // that is not whole.
  virtual size_t unsettled_bytes() const { return 0; }
  virtual int64_t vocabulary_size() const = 0;
  virtual std::optional<int32_t> id_of(std::string_view token) const = 0;
  virtual std::optional<int64_t> model_max_length() const = 0;  // tokenizer_config.json
  virtual std::string identity() const = 0;  // a hash of everything that decides the ids
};

// From a model folder: tokenizer.json, else vocab.txt (+ tokenizer_config.json); or of a .gguf
// file. nullptr where the folder has none. Errors: kModel: a part of tokenizer.json that is not
// supported, named.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_folder);

// What a folder must hold for transformers and for us to make the same tokenizer of it as of that
// in a .gguf file: names and contents. Errors: kModel: it has none, or one that is not supported.
std::map<std::string, std::string> tokenizer_files_of_gguf(const std::filesystem::path& file);

// The same, but a tokenizer that cannot be read is no error until something asks for a token: each
// such call then throws that error. Rows of ids need none.
std::unique_ptr<Tokenizer> load_tokenizer_if_usable(const std::filesystem::path& model_folder);

// Text while ids arrive, whole characters only. What add() and finish() return, joined, is decode()
// of all ids; but a run of single bytes (<0xE4>) that is no UTF-8 is not taken back, nor do the
// classes of spiece.model change what stands before a special token that is kept.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens);  // outlived by the tokenizer
  std::string add(int32_t id);                                          // may be empty
  std::string finish();  // what was held back; ready for another text

 private:
  void shorten(const std::string& text);

  const Tokenizer& tokenizer_;
  bool skip_special_tokens_;
  std::vector<int32_t> ids_;  // a window that ends with the last one
  size_t given_ = 0;          // bytes of its text that were given out
};

}  // namespace rankwise
