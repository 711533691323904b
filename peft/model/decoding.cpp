// Units that ask for the logits behind each text.
#include "peft/model/decoding.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace rankwise {
namespace {

PackedText packed(const std::vector<std::vector<int64_t>>& texts, int64_t virtual_tokens = 0) {
  PackedText text;
  std::vector<int64_t> tokens;
  text.bounds = {0};
  text.virtual_tokens = virtual_tokens;
  for (const std::vector<int64_t>& ids : texts) {
    tokens.resize(tokens.size() + static_cast<size_t>(virtual_tokens));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    text.bounds.push_back(std::ssize(tokens));
  }
  text.tokens = at::tensor(tokens);
  return text;
}

Unit asking(PackedText text, PackedText decoder_text, std::vector<int64_t> rows) {
  Unit unit{std::move(text), std::move(decoder_text), std::move(rows), {}, {}};
  const PackedText& read = unit.decoder_text.tokens.defined() ? unit.decoder_text : unit.text;
  std::vector<int64_t> last(read.bounds.begin() + 1, read.bounds.end());
  for (int64_t& index : last) --index;
  unit.target_index = at::tensor(last);
  return unit;
}

int64_t capacity(const std::vector<Prompt>& prompts, int64_t max_new_tokens, int64_t prefix) {
  int64_t longest = 1;
  for (const Prompt& prompt : prompts) longest = std::max(longest, std::ssize(prompt.ids));
  return longest + max_new_tokens + prefix + 1;
}

// Whether every text goes on from itself.
bool unmoved(const std::vector<int64_t>& from, int64_t texts) {
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] != static_cast<int64_t>(i)) return false;
  }
  return std::ssize(from) == texts;
}

}  // namespace

void Decoding::Next::add(int64_t source, int64_t token, int64_t row) {
  from.push_back(source);
  tokens.push_back(token);
  rows.push_back(row);
}

Decoding::Decoding(const AdaptedModel& model, const std::vector<Prompt>& prompts,
                   const GenerationOptions& options, bool encoder_decoder)
    : model_(model),
      prompts_(prompts),
      options_(options),
      encoder_decoder_(encoder_decoder),
      cache_(std::ssize(prompts),
             capacity(prompts, options.max_new_tokens, model.virtual_tokens())) {}

at::Tensor Decoding::read_prompts() {
  std::vector<std::vector<int64_t>> ids, starts;
  std::vector<int64_t> rows;
  for (const Prompt& prompt : prompts_) {
    ids.push_back(prompt.ids);
    starts.push_back({options_.decoder_start_token});
    rows.push_back(prompt.row);
  }
  return model_.next_logits(
      asking(packed(ids, model_.prompt_tokens()), encoder_decoder_ ? packed(starts) : PackedText(),
             std::move(rows)),
      cache_);
}

at::Tensor Decoding::read(const Next& next) {
  if (!unmoved(next.from, cache_.sequences())) cache_.select(next.from);
  std::vector<std::vector<int64_t>> texts;
  for (const int64_t token : next.tokens) texts.push_back({token});
  PackedText read = packed(texts);
  return model_.next_logits(encoder_decoder_ ? asking(packed({}), std::move(read), next.rows)
                                             : asking(std::move(read), PackedText(), next.rows),
                            cache_);
}

std::vector<int64_t> Decoding::beginning(size_t prompt) const {
  if (encoder_decoder_) return {options_.decoder_start_token};
  return prompts_[prompt].ids;
}

int64_t Decoding::most_new_tokens(size_t prompt) const {
  if (!options_.positions || encoder_decoder_) return options_.max_new_tokens;
  const int64_t used = std::ssize(prompts_[prompt].ids) + model_.virtual_tokens();
  return std::min(options_.max_new_tokens, *options_.positions - used);
}

}  // namespace rankwise
