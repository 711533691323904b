// Two products for as many rows as there are tokens.
#include "peft/methods/lora_embedding.h"

#include <ATen/ATen.h>

#include "peft/base/ops/sent_to.h"

namespace rankwise {

at::Tensor LoraEmbedding::put_in(const at::Tensor& words, const PackedText& text) const {
  const at::Tensor columns =
      at::embedding(a.t(), sent_to(words.device(), text.tokens), padding);  // [T, R]
  return (beneath ? beneath->put_in(words, text) : words) + at::linear(columns, b) * scale;
}

at::Tensor LoraEmbedding::merged(const Embedding& words) const {
  const at::Tensor update = at::mm(b.to(at::kDouble), a.to(at::kDouble)).mul_(scale);
  return words.frozen().unpacked() + update.t().to(at::kFloat);
}

}  // namespace rankwise
