// Texts that have ended leave the batch; the others are computed one token a step.
#include "peft/model/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/model/next_token.h"

namespace rankwise {
namespace {

PackedText packed(const std::vector<std::vector<int64_t>>& texts) {
  PackedText text;
  std::vector<int64_t> tokens;
  text.bounds = {0};
  for (const std::vector<int64_t>& ids : texts) {
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    text.bounds.push_back(std::ssize(tokens));
  }
  text.tokens = at::tensor(tokens);
  return text;
}

// A unit that asks for the logits behind each text.
Unit asking(PackedText text, PackedText decoder_text, std::vector<int64_t> rows) {
  Unit unit{std::move(text), std::move(decoder_text), std::move(rows), {}, {}};
  const PackedText& read = unit.decoder_text.tokens.defined() ? unit.decoder_text : unit.text;
  std::vector<int64_t> last(read.bounds.begin() + 1, read.bounds.end());
  for (int64_t& index : last) --index;
  unit.target_index = at::tensor(last);
  return unit;
}

// One text on its way.
struct Text {
  size_t prompt;
  int64_t sequence;             // of the prompt's
  std::vector<int64_t> so_far;  // with the prompt, or with the decoder's start
  std::vector<int64_t>* out;
};

int64_t capacity(const std::vector<Prompt>& prompts, int64_t max_new_tokens, int64_t prefix) {
  int64_t longest = 1;
  for (const Prompt& prompt : prompts) longest = std::max(longest, std::ssize(prompt.ids));
  return longest + max_new_tokens + prefix + 1;
}

class Generation {
 public:
  Generation(const AdaptedModel& model, const std::vector<Prompt>& prompts,
             const GenerationOptions& options, bool encoder_decoder)
      : model_(model),
        prompts_(prompts),
        options_(options),
        encoder_decoder_(encoder_decoder),
        cache_(std::ssize(prompts),
               capacity(prompts, options.max_new_tokens, model.virtual_tokens())),
        results_(prompts.size() * static_cast<size_t>(options.num_return_sequences)) {}

  std::vector<std::vector<int64_t>> run(const TokenListener& listener) {
    if (options_.max_new_tokens < 1 || prompts_.empty()) return results_;
    at::Tensor logits = read_prompts();
    for (int64_t step = 1; take(logits, listener); ++step) {
      if (step == options_.max_new_tokens) break;
      logits = model_.next_logits(next_unit(), cache_);
    }
    return results_;
  }

 private:
  // Logits behind each prompt, one row a text.
  at::Tensor read_prompts() {
    std::vector<std::vector<int64_t>> ids, starts;
    std::vector<int64_t> rows, copies;
    for (const Prompt& prompt : prompts_) {
      ids.push_back(prompt.ids);
      starts.push_back({options_.decoder_start_token});
      rows.push_back(prompt.row);
    }
    for (size_t i = 0; i < results_.size(); ++i) {
      const auto prompt = i / static_cast<size_t>(options_.num_return_sequences);
      copies.push_back(static_cast<int64_t>(prompt));
      texts_.push_back({prompt, static_cast<int64_t>(i) % options_.num_return_sequences,
                        encoder_decoder_ ? starts[prompt] : ids[prompt], &results_[i]});
    }
    const Unit unit =
        asking(packed(ids), encoder_decoder_ ? packed(starts) : PackedText(), std::move(rows));
    const at::Tensor logits = model_.next_logits(unit, cache_);
    if (options_.num_return_sequences == 1) return logits;
    cache_.select(copies);
    return logits.index_select(0, at::tensor(copies));
  }

  // Chooses each text's next token; those that end leave. False: none is left.
  bool take(const at::Tensor& logits, const TokenListener& listener) {
    std::vector<Text> going;
    std::vector<int64_t> kept;
    for (size_t i = 0; i < texts_.size(); ++i) {
      Text& text = texts_[i];
      const int64_t token = next_token(logits[static_cast<int64_t>(i)], text.so_far, options_,
                                       prompts_[text.prompt].row, text.sequence);
      text.out->push_back(token);
      text.so_far.push_back(token);
      const auto& ends = options_.eos_token_ids;
      const bool goes_on = listener(text.prompt, text.sequence, token);
      if (!goes_on || std::find(ends.begin(), ends.end(), token) != ends.end()) continue;
      kept.push_back(static_cast<int64_t>(i));
      going.push_back(std::move(text));
    }
    if (going.size() < texts_.size()) cache_.select(kept);
    texts_ = std::move(going);
    return !texts_.empty();
  }

  Unit next_unit() const {
    std::vector<std::vector<int64_t>> tokens;
    std::vector<int64_t> rows;
    for (const Text& text : texts_) {
      tokens.push_back({text.so_far.back()});
      rows.push_back(prompts_[text.prompt].row);
    }
    if (encoder_decoder_) return asking(packed({}), packed(tokens), std::move(rows));
    return asking(packed(tokens), PackedText(), std::move(rows));
  }

  const AdaptedModel& model_;
  const std::vector<Prompt>& prompts_;
  const GenerationOptions& options_;
  bool encoder_decoder_;
  KeyValueCache cache_;
  std::vector<std::vector<int64_t>> results_;
  std::vector<Text> texts_;
};

}  // namespace

std::vector<std::vector<int64_t>> generate(const AdaptedModel& model,
                                           const std::vector<Prompt>& prompts,
                                           const GenerationOptions& options, bool encoder_decoder,
                                           const TokenListener& listener) {
  return Generation(model, prompts, options, encoder_decoder).run(listener);
}

}  // namespace rankwise
