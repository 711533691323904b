// Texts that have ended leave the batch; the others are computed one token a step.
#include "peft/model/generate.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "peft/model/beams.h"
#include "peft/model/decoding.h"
#include "peft/model/next_token.h"

namespace rankwise {
namespace {

// One text on its way.
struct Text {
  size_t prompt;
  int64_t sequence, source;     // of the prompt's; its row of the logits
  std::vector<int64_t> so_far;  // with the prompt, or with the decoder's start
  std::vector<int64_t>* out;
};

class Generation {
 public:
  Generation(Decoding& decoding, const std::vector<Prompt>& prompts,
             const GenerationOptions& options, const GenerationWatch& watch)
      : decoding_(decoding),
        prompts_(prompts),
        options_(options),
        watch_(watch),
        results_(prompts.size() * static_cast<size_t>(options.num_return_sequences)) {}

  std::vector<std::vector<int64_t>> run() {
    for (size_t i = 0; i < results_.size(); ++i) {
      const auto prompt = i / static_cast<size_t>(options_.num_return_sequences);
      texts_.push_back({prompt, static_cast<int64_t>(i) % options_.num_return_sequences,
                        static_cast<int64_t>(prompt), decoding_.beginning(prompt), &results_[i]});
    }
    for (at::Tensor logits = decoding_.read_prompts();; logits = decoding_.read(next())) {
      take(logits);
      if (texts_.empty()) return std::move(results_);
    }
  }

 private:
  // Chooses each text's next token; those that end leave.
  void take(const at::Tensor& logits) {
    std::vector<Text> going;
    for (Text& text : texts_) {
      at::Tensor row = logits[text.source];
      if (options_.num_return_sequences > 1) row = row.clone();  // others choose from it too
      const int64_t token =
          next_token(row, text.so_far, options_, prompts_[text.prompt].row, text.sequence);
      text.out->push_back(token);
      text.so_far.push_back(token);
      if (watch_.hears) watch_.hears(token);
      if (!ends(text)) going.push_back(std::move(text));
    }
    texts_ = std::move(going);
  }

  bool ends(const Text& text) const {
    return options_.is_end(text.so_far.back()) || (watch_.ends && watch_.ends(text.so_far)) ||
           std::ssize(*text.out) >= decoding_.most_new_tokens(text.prompt);
  }

  Decoding::Next next() {
    Decoding::Next next;
    for (size_t i = 0; i < texts_.size(); ++i) {
      Text& text = texts_[i];
      next.add(text.source, text.so_far.back(), prompts_[text.prompt].row);
      text.source = static_cast<int64_t>(i);
    }
    return next;
  }

  Decoding& decoding_;
  const std::vector<Prompt>& prompts_;
  const GenerationOptions& options_;
  const GenerationWatch& watch_;
  std::vector<std::vector<int64_t>> results_;
  std::vector<Text> texts_;
};

}  // namespace

bool GenerationOptions::is_end(int64_t token) const {
  return std::find(eos_token_ids.begin(), eos_token_ids.end(), token) != eos_token_ids.end();
}

std::vector<std::vector<int64_t>> generate(const AdaptedModel& model,
                                           const std::vector<Prompt>& prompts,
                                           const GenerationOptions& options, bool encoder_decoder,
                                           const GenerationWatch& watch) {
  if (prompts.empty()) return {};
  Decoding decoding(model, prompts, options, encoder_decoder);
  return options.num_beams > 1 ? generate_by_beams(decoding, prompts, options, watch)
                               : Generation(decoding, prompts, options, watch).run();
}

}  // namespace rankwise
