// Prefix tuning (Li & Liang, 2021; peft's tuners/prefix_tuning): keys and values of virtual tokens
// before every row, in each self-attention; of an encoder-decoder, in the decoder's.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

#include "peft/base/draw.h"
#include "peft/methods/method.h"
#include "peft/methods/virtual_tokens.h"

namespace rankwise {
namespace {

// The numbers of all slots, [n, slots · size]: as they are, or made by a small network.
struct Prefix {
  int64_t tokens = 0, size = 0, slots = 0;
  at::Tensor embeddings;  // [n, slots · size]; of a network: what it reads, [n, size]
  at::Tensor first, first_bias, second, second_bias;  // of the network; undefined: none

  at::Tensor slot(int64_t number) const {  // [n, size]
    if (!first.defined()) return embeddings.narrow(1, number * size, size);
    const at::Tensor hidden = at::tanh(at::linear(embeddings, first, first_bias));
    return at::linear(hidden, second.narrow(0, number * size, size),
                      second_bias.narrow(0, number * size, size));
  }
};

struct PrefixAdapter : KeyValueAdapter {
  const Prefix* prefix = nullptr;
  int64_t key_slot = 0, value_slot = 0;

  KeyValueRows extend(KeyValueRows rows, const Pass&) const override {
    const at::Tensor keys = prefix->slot(key_slot), values = prefix->slot(value_slot);
    std::vector<at::Tensor> all_keys, all_values;
    std::vector<int64_t> bounds = {0};
    for (size_t s = 0; s + 1 < rows.bounds.size(); ++s) {
      const int64_t begin = rows.bounds[s], count = rows.bounds[s + 1] - begin;
      all_keys.insert(all_keys.end(), {keys, rows.keys.narrow(0, begin, count)});
      all_values.insert(all_values.end(), {values, rows.values.narrow(0, begin, count)});
      bounds.push_back(bounds.back() + prefix->tokens + count);
    }
    return {at::cat(all_keys), at::cat(all_values), std::move(bounds)};
  }
};

class PrefixTuning : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("prefix tuning");
    fields.add("num_virtual_tokens", tokens_, "before every row").at_least(1).changes_result();
    fields
        .add("prefix_projection", projection_,
             "a network makes the prefix; what it makes is what is saved")
        .changes_result();
    fields.add("encoder_hidden_size", hidden_, "of that network")
        .at_least(1)
        .default_text("the size of keys")
        .changes_result();
    fields.add("init_weights", init_, "zero, or drawn from N(0, 1) where it is not given")
        .one_of({"", "zero"})
        .default_text("none")
        .changes_result();
    fields
        .add("prefix_layout", layout_,
             "of T5 and mT5: each layer has a prefix of its own, or layers share them as in peft")
        .one_of({"each", "peft"})
        .changes_result();
  }

  void read_config(const Json& config) override;
  Json config() const override;
  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override;

  std::vector<Target> targets() const override {
    std::vector<Target> list;
    for (const AttentionSite* attention : attentions_)
      list.push_back({attention->path, 2 * prefix_.tokens * prefix_.size});
    return list;
  }

  void merge_into(Sites&) override {
    throw usage_error("PREFIX_TUNING cannot be merged: it adds keys and values, not weights");
  }

 private:
  void make_prefix(uint64_t seed);
  void place(Sites& sites);

  int64_t tokens_ = 20;
  bool projection_ = false;
  std::optional<int64_t> hidden_;
  std::string init_, layout_ = "each";
  Json original_, saved_modules_;
  bool encoder_decoder_ = false;
  Prefix prefix_;
  std::vector<AttentionSite*> attentions_;
  std::deque<PrefixAdapter> adapters_;
  std::vector<Trainable> trainables_;
};

void PrefixTuning::read_config(const Json& config) {
  original_ = config;
  tokens_ = virtual_tokens_in(config);
  layout_ = config.value("prefix_layout", Json("peft")) == "each" ? "each" : "peft";
}

void PrefixTuning::attach(Sites& sites, const AttachOptions& options) {
  const bool decodes = std::any_of(sites.attentions.begin(), sites.attentions.end(),
                                   [](const AttentionSite* site) { return site->causal; });
  for (AttentionSite* attention : sites.attentions) {
    if (attention->causal == decodes) attentions_.push_back(attention);
  }
  encoder_decoder_ = sites.encoder_decoder();
  const AttentionSite& first = *attentions_.front();
  prefix_.tokens = tokens_;
  prefix_.size = first.key_heads * first.head_size;
  prefix_.slots = 2 * std::ssize(attentions_);
  make_prefix(options.seed);
  place(sites);
  saved_modules_ = train_head(sites, trainables_);
}

void PrefixTuning::make_prefix(uint64_t seed) {
  const int64_t width = prefix_.slots * prefix_.size;
  const auto train = [&](const std::string& name, at::Tensor& tensor, at::Tensor value) {
    tensor = std::move(value);
    tensor.set_requires_grad(true);
    trainables_.push_back({name, tensor, !name.ends_with("bias")});
  };
  // A folder holds what the network made: that goes on training as it is.
  if (!projection_ || original_.is_object()) {
    train("prompt_embeddings", prefix_.embeddings,
          init_ == "zero" ? at::zeros({tokens_, width})
                          : draw_normal({tokens_, width}, 1, seed, "prompt_embeddings"));
    return;
  }
  const int64_t hidden = hidden_.value_or(prefix_.size);
  const auto uniform = [&](at::IntArrayRef shape, int64_t in, const std::string& name) {
    return draw_uniform(shape, 1 / std::sqrt(static_cast<double>(in)), seed, name);
  };
  const std::string path = "prompt_encoder.";
  train(path + "embedding.weight", prefix_.embeddings,
        draw_normal({tokens_, prefix_.size}, 1, seed, path + "embedding.weight"));
  train(path + "transform.0.weight", prefix_.first,
        uniform({hidden, prefix_.size}, prefix_.size, path + "transform.0.weight"));
  train(path + "transform.0.bias", prefix_.first_bias,
        uniform({hidden}, prefix_.size, path + "transform.0.bias"));
  train(path + "transform.2.weight", prefix_.second,
        uniform({width, hidden}, hidden, path + "transform.2.weight"));
  train(path + "transform.2.bias", prefix_.second_bias,
        uniform({width}, hidden, path + "transform.2.bias"));
}

// peft cuts the prefix of an encoder-decoder into twice as many slots as there are, so that layer j
// takes slots 4j and 4j + 1, counted round.
void PrefixTuning::place(Sites& sites) {
  const int64_t step = encoder_decoder_ && layout_ == "peft" ? 4 : 2;
  for (int64_t layer = 0; layer < std::ssize(attentions_); ++layer) {
    PrefixAdapter& adapter = adapters_.emplace_back();
    adapter.prefix = &prefix_;
    adapter.key_slot = step * layer % prefix_.slots;
    adapter.value_slot = (step * layer + 1) % prefix_.slots;
    attentions_[static_cast<size_t>(layer)]->adapter = &adapter;
  }
  sites.first_position = tokens_;
}

std::vector<Trainable> PrefixTuning::exported() const {
  if (!prefix_.first.defined()) return trainables_;
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> slots;
  for (int64_t slot = 0; slot < prefix_.slots; ++slot) slots.push_back(prefix_.slot(slot));
  std::vector<Trainable> exported = {{"prompt_embeddings", at::cat(slots, 1)}};
  for (const Trainable& trainable : trainables_) {
    if (!trainable.name.starts_with("prompt_encoder.")) exported.push_back(trainable);
  }
  return exported;
}

Json PrefixTuning::config() const {
  if (original_.is_object()) return original_;
  Json config = {{"peft_type", "PREFIX_TUNING"},
                 {"encoder_hidden_size", hidden_.value_or(prefix_.size)},
                 {"init_weights", init_.empty() ? Json() : Json(init_)},
                 {"modules_to_save", saved_modules_},
                 {"num_attention_heads", attentions_.front()->key_heads},
                 {"num_layers", std::ssize(attentions_)},
                 {"num_transformer_submodules", encoder_decoder_ ? 2 : 1},
                 {"num_virtual_tokens", tokens_},
                 {"prefix_projection", projection_},
                 {"token_dim", prefix_.size}};
  if (encoder_decoder_ && layout_ == "each") config["prefix_layout"] = "each";
  return config;
}

}  // namespace

std::unique_ptr<Method> make_prefix_tuning() { return std::make_unique<PrefixTuning>(); }

}  // namespace rankwise
