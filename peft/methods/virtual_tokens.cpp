// Puts the rows where packing left room for them.
#include "peft/methods/virtual_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "distributed/core/error.h"
#include "peft/base/ops/sent_to.h"
#include "peft/methods/trained_base.h"

namespace rankwise {

void VirtualTokens::attach(Sites& sites, int64_t tokens, std::function<at::Tensor()> rows) {
  tokens_ = tokens;
  rows_ = std::move(rows);
  sites.words->adapter = this;
  sites.prompt_tokens = tokens;
}

at::Tensor VirtualTokens::put_in(const at::Tensor& words, const PackedText& text) const {
  if (text.virtual_tokens == 0) return words;  // what a decoder reads
  std::vector<int64_t> places;
  for (size_t s = 0; s + 1 < text.bounds.size(); ++s) {
    for (int64_t token = 0; token < tokens_; ++token) places.push_back(text.bounds[s] + token);
  }
  const at::Tensor rows = rows_().narrow(0, 0, tokens_).repeat({text.sequences(), 1});
  return at::index_copy(words, 0, sent_to(words.device(), at::tensor(places)), rows);
}

int64_t virtual_tokens_in(const Json& config) {
  const Json tokens = config.value("num_virtual_tokens", Json());
  if (!tokens.is_number_integer() || tokens.get<int64_t>() < 1)
    throw model_error("adapter_config.json: 'num_virtual_tokens' is {}", tokens.dump());
  return tokens.get<int64_t>();
}

Json train_head(Sites& sites, std::vector<Trainable>& trainables) {
  train_modules(sites, sites.head_modules, trainables, "base_model.");
  return sites.head_modules.empty() ? Json() : Json(sites.head_modules);
}

PromptShape prompt_shape(const Sites& sites) {
  PromptShape shape;
  shape.size = sites.words->table.size(1);
  shape.heads = sites.attentions.front()->heads;
  shape.layers = std::count_if(sites.attentions.begin(), sites.attentions.end(),
                               [&](const AttentionSite* attention) {
                                 return attention->causal == sites.attentions.front()->causal;
                               });
  shape.submodules = sites.encoder_decoder() ? 2 : 1;
  return shape;
}

Json PromptShape::config() const {
  return {{"num_attention_heads", heads},
          {"num_layers", layers},
          {"num_transformer_submodules", submodules},
          {"token_dim", size}};
}

}  // namespace rankwise
