// A model on its way through texts: reads the prompts, then one more token of each text a step,
// over a cache without padding. Which tokens those are is for generate and beams.
#pragma once

#include <vector>

#include "peft/model/generate.h"

namespace rankwise {

class Decoding {
 public:
  Decoding(const AdaptedModel& model, const std::vector<Prompt>& prompts,
           const GenerationOptions& options, bool encoder_decoder);

  at::Tensor read_prompts();  // [prompts, V]: the logits behind each

  // Text i goes on from row from[i] of the last logits with tokens[i]; rows: of its prompt.
  struct Next {
    std::vector<int64_t> from, tokens, rows;
    void add(int64_t source, int64_t token, int64_t row);
  };
  at::Tensor read(const Next& next);  // [texts, V]

  // What a text begins with: its prompt, or the decoder's start.
  std::vector<int64_t> beginning(size_t prompt) const;
  // Most new tokens of a text: as asked for, or fewer where the model's positions end.
  int64_t most_new_tokens(size_t prompt) const;

 private:
  const AdaptedModel& model_;
  const std::vector<Prompt>& prompts_;
  const GenerationOptions& options_;
  bool encoder_decoder_;
  KeyValueCache cache_;
};

}  // namespace rankwise
