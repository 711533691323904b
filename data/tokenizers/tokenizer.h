// Text to token ids. One file a kind of tokenizer; the list is in tokenizers.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rankwise {

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;  // same length
  bool truncated = false;         // tokens were cut off
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
  // The text's own tokens: no special ones round it.
  virtual std::vector<int32_t> encode_plain(std::string_view text) const = 0;
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const = 0;
  virtual int64_t vocabulary_size() const = 0;
  virtual std::optional<int32_t> id_of(std::string_view token) const = 0;
  virtual std::optional<int64_t> model_max_length() const = 0;  // tokenizer_config.json
  virtual std::string identity() const = 0;  // a hash of everything that decides the ids
};

// From a model folder: tokenizer.json, else vocab.txt (+ tokenizer_config.json). nullptr where the
// folder has none. Errors: kModel: a part of tokenizer.json that is not supported, named.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model_folder);

}  // namespace rankwise
