// Prompt tuning (Lester et al., 2021; peft's tuners/prompt_tuning): the virtual tokens themselves
// train.
#include <ATen/ATen.h>

#include <algorithm>

#include "peft/base/draw.h"
#include "peft/methods/method.h"
#include "peft/methods/virtual_tokens.h"

namespace rankwise {
namespace {

class PromptTuning : public Method {
 public:
  void declare(Fields& fields) override {
    fields.group("prompt tuning");
    fields.add("num_virtual_tokens", tokens_, "before every row").at_least(1).changes_result();
    fields
        .add("prompt_tuning_init", init_,
             "drawn from N(0, 1), words drawn from the vocabulary, or the words of a text")
        .one_of({"RANDOM", "SAMPLE_VOCAB", "TEXT"})
        .changes_result();
    fields.add("prompt_tuning_init_text", text_, "of TEXT; repeated or cut").changes_result();
  }

  void read_config(const Json& config) override {
    original_ = config;
    tokens_ = virtual_tokens_in(config);
  }

  Json config() const override {
    if (original_.is_object()) return original_;
    Json config = shape_.config();
    config.update({{"peft_type", "PROMPT_TUNING"},
                   {"modules_to_save", saved_modules_},
                   {"num_virtual_tokens", tokens_},
                   {"prompt_tuning_init", init_},
                   {"prompt_tuning_init_text", text_.empty() ? Json() : Json(text_)},
                   {"tokenizer_kwargs", nullptr},
                   {"tokenizer_name_or_path", nullptr}});
    return config;
  }

  std::string initial_text() const override {
    return init_ == "TEXT" && !original_.is_object() ? text_ : "";
  }

  void attach(Sites& sites, const AttachOptions& options) override {
    shape_ = prompt_shape(sites);
    embeddings_ = initial(*sites.words, options);
    embeddings_.set_requires_grad(true);
    trainables_.push_back({"prompt_embeddings", embeddings_});
    virtual_tokens_.attach(sites, tokens_, [this] { return embeddings_; });
    saved_modules_ = train_head(sites, trainables_);
  }

  std::vector<Trainable>& trainables() override { return trainables_; }
  std::vector<Trainable> exported() const override { return trainables_; }
  std::vector<Target> targets() const override {
    return {{"word embeddings", embeddings_.numel()}};
  }
  void merge_into(Sites&) override {
    throw usage_error("PROMPT_TUNING cannot be merged: it adds tokens, not weights");
  }

 private:
  // [rows, C]
  at::Tensor initial(const Embedding& words, const AttachOptions& options) const {
    const int64_t rows = tokens_ * shape_.submodules;
    if (init_ == "RANDOM" || original_.is_object() || words.table.is_meta())
      return draw_normal({rows, shape_.size}, 1, options.seed, "prompt_embeddings");
    std::vector<int64_t> ids = options.text_ids;
    if (init_ == "TEXT" && ids.empty())
      throw usage_error("--prompt_tuning_init TEXT needs a --prompt_tuning_init_text of tokens");
    if (init_ == "SAMPLE_VOCAB") {
      const auto vocabulary = static_cast<double>(words.table.size(0));
      const at::Tensor drawn = draw_uniform({rows}, vocabulary / 2, options.seed, "sampled words");
      for (int64_t row = 0; row < rows; ++row) {
        const double place = drawn.const_data_ptr<float>()[row] + vocabulary / 2;
        ids.push_back(std::clamp<int64_t>(static_cast<int64_t>(place), 0, words.table.size(0) - 1));
      }
    }
    std::vector<int64_t> repeated;
    for (int64_t row = 0; row < rows; ++row)
      repeated.push_back(ids[static_cast<size_t>(row) % ids.size()]);
    return words.rows(at::tensor(repeated)).clone();
  }

  int64_t tokens_ = 20;
  std::string init_ = "RANDOM", text_;
  PromptShape shape_;
  Json original_, saved_modules_;
  at::Tensor embeddings_;
  VirtualTokens virtual_tokens_;
  std::vector<Trainable> trainables_;
};

}  // namespace

std::unique_ptr<Method> make_prompt_tuning() { return std::make_unique<PromptTuning>(); }

}  // namespace rankwise
