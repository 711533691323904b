// Text while ids arrive: decodes a window of the last ids and gives out what is new and settled.
#include "data/tokenizers/tokenizer.h"

namespace rankwise {
namespace {

constexpr std::string_view kReplacement = "\ufffd";   // stands for a character that is not whole
constexpr size_t kLongestWindow = 64, kContext = 16;  // ids

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(tokenizer), skip_special_tokens_(skip_special_tokens) {}

std::string StreamDecoder::add(int32_t id) {
  ids_.push_back(id);
  std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  size_t settled = text.size() - std::min(text.size(), tokenizer_.unsettled_bytes());
  while (settled > 0 && settled < text.size() && (text[settled] & 0xC0) == 0x80) --settled;
  while (std::string_view(text).substr(0, settled).ends_with(kReplacement)) {
    settled -= kReplacement.size();
  }
  if (settled <= given_) return {};
  const std::string news = text.substr(given_, settled - given_);
  given_ = settled;
  if (ids_.size() > kLongestWindow) shorten(text);
  return news;
}

// Keeps the last ids, where their text is the end of the text.
void StreamDecoder::shorten(const std::string& text) {
  const std::vector<int32_t> last(ids_.end() - kContext, ids_.end());
  const std::string end = tokenizer_.decode(last, skip_special_tokens_);
  const size_t waiting = text.size() - given_;
  if (end.size() <= waiting + kReplacement.size() || !text.ends_with(end) ||
      end.starts_with(kReplacement))
    return;
  ids_ = last;
  given_ = end.size() - waiting;
}

std::string StreamDecoder::finish() {
  const std::string text = tokenizer_.decode(ids_, skip_special_tokens_);
  const std::string rest = text.size() > given_ ? text.substr(given_) : std::string();
  ids_.clear();
  given_ = 0;
  return rest;
}

}  // namespace rankwise
