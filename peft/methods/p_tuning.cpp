// P-tuning (Liu et al., 2021; peft's tuners/p_tuning): a network makes the virtual tokens; what it
// makes is what a folder holds. Training goes on with the network from a checkpoint, and with the
// tokens themselves from a folder.
#include <ATen/ATen.h>

#include <optional>

#include "peft/base/draw.h"
#include "peft/methods/method.h"
#include "peft/methods/prompt_encoder.h"
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
        .one_of({"MLP", "LSTM"})
        .changes_result();
    fields.add("encoder_num_layers", layers_, "of the LSTM").at_least(1).changes_result();
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
                   {"encoder_num_layers", layers_},
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
  at::Tensor made() const {
    return encoder_ ? (*encoder_)(embeddings_) : embeddings_;
  }  // [rows, C]

  int64_t tokens_ = 20;
  std::optional<int64_t> hidden_;
  int64_t layers_ = 2;
  std::string kind_ = "MLP";
  PromptShape shape_;
  Json original_, saved_modules_;
  at::Tensor embeddings_;
  std::unique_ptr<PromptEncoder> encoder_;  // none: the embeddings are what it made
  VirtualTokens virtual_tokens_;
  std::vector<Trainable> trainables_;
};

void PTuning::attach(Sites& sites, const AttachOptions& options) {
  if (kind_ == "MLP" && layers_ != 2)
    throw usage_error("--encoder_num_layers {}: is of the LSTM; the MLP has its own layers",
                      layers_);
  shape_ = prompt_shape(sites);
  const bool made_before = original_.is_object();
  const auto train = [&](const std::string& name, at::Tensor value) {
    value.set_requires_grad(true);
    trainables_.push_back({name, value, name.find("bias") == std::string::npos});
    return value;
  };
  const std::string path = "prompt_encoder.";
  embeddings_ = train(made_before ? "prompt_embeddings" : path + "embedding.weight",
                      draw_normal({tokens_ * shape_.submodules, shape_.size}, 1, options.seed,
                                  path + "embedding.weight"));
  if (!made_before) {
    encoder_ = make_prompt_encoder(
        kind_, {shape_.size, hidden_.value_or(shape_.size), layers_},
        [&](const std::string& name, const std::vector<int64_t>& shape, double bound) {
          return train(path + name, draw_uniform(shape, bound, options.seed, path + name));
        });
  }
  virtual_tokens_.attach(sites, tokens_, [this] { return made(); });
  saved_modules_ = train_head(sites, trainables_);
}

}  // namespace

std::unique_ptr<Method> make_p_tuning() { return std::make_unique<PTuning>(); }

}  // namespace rankwise
