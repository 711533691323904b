// A tokenizer that could not be read is no error for rows of ids: it becomes one when it is asked.
#include "data/tokenizers/tokenizer.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

class UnusableTokenizer : public Tokenizer {
 public:
  explicit UnusableTokenizer(Error error) : error_(std::move(error)) {}

  Encoding encode(std::string_view, std::optional<std::string_view>, int64_t) const override {
    throw error_;
  }
  WordEncoding encode_words(const std::vector<std::string>&, int64_t) const override {
    throw error_;
  }
  std::vector<int32_t> encode_plain(std::string_view) const override { throw error_; }
  PlacedTokens encode_placed(std::string_view) const override { throw error_; }
  PairEncoding joined(std::span<const int32_t>, std::span<const int32_t>) const override {
    throw error_;
  }
  std::string decode(const std::vector<int32_t>&, bool) const override { throw error_; }
  int64_t vocabulary_size() const override { throw error_; }
  std::optional<int32_t> id_of(std::string_view) const override { throw error_; }
  std::optional<int64_t> model_max_length() const override { return std::nullopt; }
  std::string identity() const override { return error_.what(); }

 private:
  Error error_;
};

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer_if_usable(const std::filesystem::path& model_folder) {
  try {
    return load_tokenizer(model_folder);
  } catch (const Error& error) {
    return std::make_unique<UnusableTokenizer>(error);
  }
}

}  // namespace rankwise
