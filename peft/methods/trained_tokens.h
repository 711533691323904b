// Rows of the word embeddings that train, of chosen tokens (peft's tuners/trainable_tokens). Where
// the language model's head is the same matrix, its rows train with them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "peft/methods/method.h"

namespace rankwise {

class TrainedTokens : public InputAdapter, public LinearAdapter {
 public:
  // Acts from now on. Errors: kUsage: an id that the vocabulary has not, or twice; an
  // encoder-decoder; embeddings that something else acts on.
  void attach(Sites& sites, std::vector<int64_t> ids, std::vector<Trainable>& trainables);
  // Puts the rows into the table, which becomes a copy, and into a head that is tied to it.
  void merge();
  int64_t parameters() const { return rows_.numel(); }

  at::Tensor put_in(const at::Tensor& words, const PackedText& text) const override;
  at::Tensor forward(const Linear& head, const at::Tensor& x, const Pass& pass) const override;

 private:
  std::vector<int64_t> ids_;
  at::Tensor rows_;  // [tokens, C]; trained
  Embedding* words_ = nullptr;
  Linear* head_ = nullptr;  // null: not tied
};

}  // namespace rankwise
