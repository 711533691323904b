// Virtual tokens: rows that train in the place of word embeddings, before every row of text.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "peft/methods/method.h"

namespace rankwise {

class VirtualTokens : public InputAdapter {
 public:
  // rows: [at least `tokens`, C], as they are now; differentiable.
  void attach(Sites& sites, int64_t tokens, std::function<at::Tensor()> rows);
  at::Tensor put_in(const at::Tensor& words, const PackedText& text) const override;

 private:
  int64_t tokens_ = 0;
  std::function<at::Tensor()> rows_;
};

// num_virtual_tokens of an adapter_config.json. Errors: kModel: none, or no number above 0.
int64_t virtual_tokens_in(const Json& config);

// Trains the head of the task, under the names of peft's prompt methods. Returns modules_to_save of
// their configs.
Json train_head(Sites& sites, std::vector<Trainable>& trainables);

// What peft's configs say of a model for virtual tokens: token_dim, num_layers,
// num_attention_heads, num_transformer_submodules (2: an encoder-decoder).
struct PromptShape {
  int64_t size = 0, layers = 0, heads = 0, submodules = 1;
  Json config() const;
};
PromptShape prompt_shape(const Sites& sites);

}  // namespace rankwise
