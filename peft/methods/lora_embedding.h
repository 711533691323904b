// A low-rank pair beside the word embeddings (peft's tuners/lora/layer.py: Embedding).
#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/layers.h"

namespace rankwise {

struct LoraEmbedding : InputAdapter {
  at::Tensor a, b;  // [R, V], [C, R]; trained
  double scale = 1;
  int64_t padding = -1;                   // as Embedding's
  const InputAdapter* beneath = nullptr;  // what acts on the words before

  // words + s · B a, a the columns of A that the tokens name; no dropout.
  at::Tensor put_in(const at::Tensor& words, const PackedText& text) const override;
  at::Tensor merged(const Embedding& words) const;  // the table, float32 [V, C]
};

}  // namespace rankwise
