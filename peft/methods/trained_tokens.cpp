// Rows are put in the place of the frozen ones, in the text and among the logits.
#include "peft/methods/trained_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "peft/base/ops/sent_to.h"

namespace rankwise {
namespace {

Linear* tied_head(const Sites& sites) {
  const auto tied =
      std::find_if(sites.tensors.begin(), sites.tensors.end(), [&](const NamedTensor& parameter) {
        return parameter.path == sites.output_embedding + ".weight" && !parameter.tied_to.empty();
      });
  if (tied == sites.tensors.end()) return nullptr;
  for (Linear* linear : sites.linears) {
    if (linear->path == sites.output_embedding) return linear;
  }
  return nullptr;
}

}  // namespace

void TrainedTokens::attach(Sites& sites, std::vector<int64_t> ids,
                           std::vector<Trainable>& trainables) {
  words_ = sites.words;
  head_ = tied_head(sites);
  ids_ = std::move(ids);
  const int64_t vocabulary = words_->table.size(0);
  std::set<int64_t> seen;
  for (const int64_t id : ids_) {
    if (id < 0 || id >= vocabulary)
      throw usage_error("--trainable_token_indices: {} is not below the vocabulary's size, {}", id,
                        vocabulary);
    if (!seen.insert(id).second)
      throw usage_error("--trainable_token_indices: {} is there twice", id);
  }
  if (words_->adapter || (head_ && head_->adapter) || words_->table.requires_grad())
    throw usage_error(
        "--trainable_token_indices: '{}' cannot be in --target_modules or --modules_to_save too",
        words_->path);
  if (sites.encoder_decoder())
    throw usage_error("--trainable_token_indices is not supported for an encoder-decoder");
  const int64_t size = words_->table.size(1);
  rows_ = words_->frozen().shape_only()
              ? at::empty({std::ssize(ids_), size})
              : words_->rows(at::tensor(ids_)).clone(at::MemoryFormat::Contiguous);
  rows_.set_requires_grad(true);
  trainables.push_back(
      {"base_model.model." + words_->path + ".token_adapter.trainable_tokens_delta", rows_});
  words_->adapter = this;
  if (head_) head_->adapter = this;
}

at::Tensor TrainedTokens::put_in(const at::Tensor& words, const PackedText& text) const {
  std::vector<int64_t> places, which;
  const int64_t* tokens = text.tokens.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < text.real_tokens(); ++t) {
    const auto id = std::find(ids_.begin(), ids_.end(), tokens[t]);
    if (id == ids_.end()) continue;
    places.push_back(t);
    which.push_back(id - ids_.begin());
  }
  if (places.empty()) return words;
  const at::Device device = words.device();
  return at::index_copy(words, 0, sent_to(device, at::tensor(places)),
                        rows_.index_select(0, sent_to(device, at::tensor(which))));
}

at::Tensor TrainedTokens::forward(const Linear& head, const at::Tensor& x, const Pass&) const {
  const at::Tensor logits = linear(x, head.frozen(), head.bias);
  return at::index_copy(logits, 1, sent_to(x.device(), at::tensor(ids_)), at::linear(x, rows_));
}

void TrainedTokens::merge() {
  at::NoGradGuard no_grad;
  const at::Tensor table = at::index_copy(words_->frozen().unpacked(), 0, at::tensor(ids_), rows_);
  words_->table = table;
  words_->blocks = {};
  words_->adapter = nullptr;
  if (!head_) return;
  head_->weight = table;
  head_->blocks = {};
  head_->adapter = nullptr;
}

}  // namespace rankwise
