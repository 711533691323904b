// P-tuning (Liu et al., 2021; peft's tuners/p_tuning): a network makes the virtual tokens; what it
// makes is what a folder holds. Training goes on with the network from a checkpoint, and with the
// tokens themselves from a folder.
#include <ATen/ATen.h>

#include <cmath>
#include <optional>

#include "peft/base/draw.h"
#include "peft/methods/method.h"
#include "peft/methods/virtual_tokens.h"

namespace rankwise {
namespace {

class PTuning : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("P-tuning");
    fields.add("num_virtual_tokens", tokens_, "before every row").at_least(1).changes_result();
    fields.add("encoder_hidden_size", hidden_, "of the network")
        .at_least(1)
        .default_text("the size of embeddings")
        .changes_result();
    fields.add("encoder_reparameterization_type", kind_, "the kind of network")
        .one_of({"MLP"})
        .changes_result();
  }

  void read_config(const Json& config) override {
    original_ = config;
    tokens_ = virtual_tokens_in(config);
  }

  Json config() const override {
    if (original_.is_object()) return original_;
    Json config = shape_.config();
    config.update({{"peft_type", "P_TUNING"},
                   {"encoder_dropout", 0.0},
                   {"encoder_hidden_size", hidden_.value_or(shape_.size)},
                   {"encoder_num_layers", 2},
                   {"encoder_reparameterization_type", kind_},
                   {"modules_to_save", saved_modules_},
                   {"num_virtual_tokens", tokens_}});
    return config;
  }

  void attach(Sites& sites, const AttachOptions& options) override;
  std::vector<Trainable>& trainables() override { return trainables_; }

  std::vector<Trainable> exported() const override {
    at::NoGradGuard no_grad;
    std::vector<Trainable> exported = {{"prompt_embeddings", made()}};
    for (const Trainable& trainable : trainables_) {
      if (trainable.name.starts_with("base_model.")) exported.push_back(trainable);
    }
    return exported;
  }

  std::vector<Target> targets() const override {
    return {{"word embeddings", tokens_ * shape_.submodules * shape_.size}};
  }
  void merge_into(Sites&) override {
    throw usage_error("P_TUNING cannot be merged: it adds tokens, not weights");
  }

 private:
  struct Layer {
    at::Tensor weight, bias;
  };

  // [rows, C]
  at::Tensor made() const {
    at::Tensor x = embeddings_;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (i > 0) x = at::relu(x);
      x = at::linear(x, layers_[i].weight, layers_[i].bias);
    }
    return x;
  }

  int64_t tokens_ = 20;
  std::optional<int64_t> hidden_;
  std::string kind_ = "MLP";
  PromptShape shape_;
  Json original_, saved_modules_;
  at::Tensor embeddings_;
  std::vector<Layer> layers_;  // none: the embeddings are what the network made
  VirtualTokens virtual_tokens_;
  std::vector<Trainable> trainables_;
};

void PTuning::attach(Sites& sites, const AttachOptions& options) {
  shape_ = prompt_shape(sites);
  const bool made_before = original_.is_object();
  const auto train = [&](const std::string& name, at::Tensor value) {
    value.set_requires_grad(true);
    trainables_.push_back({name, value, !name.ends_with("bias")});
    return value;
  };
  const std::string path = "prompt_encoder.";
  embeddings_ = train(made_before ? "prompt_embeddings" : path + "embedding.weight",
                      draw_normal({tokens_ * shape_.submodules, shape_.size}, 1, options.seed,
                                  path + "embedding.weight"));
  const int64_t hidden = hidden_.value_or(shape_.size);
  const int64_t sizes[] = {shape_.size, hidden, hidden, shape_.size};
  for (int layer = 0; layer < 3 && !made_before; ++layer) {
    const int64_t in = sizes[layer], out = sizes[layer + 1];
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    const std::string name = fmt::format("{}mlp_head.{}", path, 2 * layer);
    layers_.push_back(
        {train(name + ".weight", draw_uniform({out, in}, bound, options.seed, name + ".weight")),
         train(name + ".bias", draw_uniform({out}, bound, options.seed, name + ".bias"))});
  }
  virtual_tokens_.attach(sites, tokens_, [this] { return made(); });
  saved_modules_ = train_head(sites, trainables_);
}

}  // namespace

std::unique_ptr<Method> make_p_tuning() { return std::make_unique<PTuning>(); }

}  // namespace rankwise
