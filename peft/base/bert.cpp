// BERT: post-norm encoder, learned positions, token types (Devlin et al., 2018; transformers'
// modeling_bert.py).
#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/family.h"

namespace rankwise {
namespace {

struct Layer {
  AttentionSite attention;
  Linear query, key, value, attention_output, intermediate, output;
  LayerNorm attention_norm, output_norm;
  DropoutSite attention_output_dropout, output_dropout;
};

class Bert : public Base {
 public:
  Bert(const Config& config, const BuildOptions& options, WeightSource& source)
      : task_(options.task),
        heads_(config.integer("num_attention_heads")),
        size_(config.integer("hidden_size")),
        positions_(config.integer("max_position_embeddings", 512)),
        vocabulary_(config.integer("vocab_size")),
        layers_(static_cast<size_t>(config.integer("num_hidden_layers"))),
        activation_(activation(config, "hidden_act", "gelu")) {
    check(config);
    ModelBuilder builder(source, sites);
    const double eps = config.number("layer_norm_eps", 1e-12);
    const double p = options.model_dropout.value_or(config.number("hidden_dropout_prob", 0.1));
    const double attention_p =
        options.model_dropout.value_or(config.number("attention_probs_dropout_prob", 0.1));
    build_embeddings(builder, config, eps, p);
    for (size_t i = 0; i < layers_.size(); ++i) {
      build_layer(builder, layers_[i], fmt::format("bert.encoder.layer.{}", i),
                  config.integer("intermediate_size"), eps, p, attention_p);
    }
    build_head(builder, config, options);
  }

  at::Tensor features(const Pass& pass) const override {
    at::Tensor hidden = embed(pass);
    for (size_t i = 0; i + 1 < layers_.size(); ++i) {
      hidden = checkpointed(pass, {hidden}, [this, i, pass](const auto& inputs) {
        return run(layers_[i], inputs[0], pass, inputs[0], pass);
      });
    }
    const std::vector<int64_t> seen = pass.first_tokens();
    const Pass narrowed = pass.at(seen);
    hidden = run(layers_.back(), hidden.index_select(0, at::tensor(seen)), narrowed, hidden, pass);
    return dropout(at::tanh(pooler_(hidden, narrowed)), narrowed, head_dropout_);
  }

  const Linear& output() const override { return output_; }
  int64_t max_positions() const override { return positions_; }
  int64_t vocabulary() const override { return vocabulary_; }

 private:
  void check(const Config& config) const {
    if (config.text("position_embedding_type", "absolute") != "absolute") {
      throw config.error("position_embedding_type",
                         "must be 'absolute': relative positions are not supported");
    }
    if (config.boolean("is_decoder", false)) throw config.error("is_decoder", "must be false");
    if (layers_.empty()) throw config.error("num_hidden_layers", "must be at least 1");
    if (heads_ < 1 || size_ % heads_ != 0)
      throw config.error("num_attention_heads", "must divide hidden_size");
  }

  void build_embeddings(ModelBuilder& builder, const Config& config, double eps, double p) {
    builder.embedding(words_, "bert.embeddings.word_embeddings", vocabulary_, size_);
    builder.embedding(position_table_, "bert.embeddings.position_embeddings", positions_, size_);
    builder.embedding(types_, "bert.embeddings.token_type_embeddings",
                      config.integer("type_vocab_size", 2), size_);
    builder.layer_norm(embedding_norm_, "bert.embeddings.LayerNorm", size_, eps);
    embedding_dropout_ = builder.dropout(p);
  }

  void build_layer(ModelBuilder& builder, Layer& layer, const std::string& path,
                   int64_t intermediate, double eps, double p, double attention_p) {
    builder.linear(layer.query, path + ".attention.self.query", size_, size_);
    builder.linear(layer.key, path + ".attention.self.key", size_, size_);
    builder.linear(layer.value, path + ".attention.self.value", size_, size_);
    builder.linear(layer.attention_output, path + ".attention.output.dense", size_, size_);
    builder.layer_norm(layer.attention_norm, path + ".attention.output.LayerNorm", size_, eps);
    builder.linear(layer.intermediate, path + ".intermediate.dense", size_, intermediate);
    builder.linear(layer.output, path + ".output.dense", intermediate, size_);
    builder.layer_norm(layer.output_norm, path + ".output.LayerNorm", size_, eps);
    layer.attention = {.path = path + ".attention.self",
                       .heads = heads_,
                       .key_heads = heads_,
                       .head_size = size_ / heads_,
                       .scale = 1 / std::sqrt(static_cast<double>(size_ / heads_)),
                       .dropout = builder.dropout(attention_p)};
    builder.attention(layer.attention);
    layer.attention_output_dropout = builder.dropout(p);
    layer.output_dropout = builder.dropout(p);
  }

  void build_head(ModelBuilder& builder, const Config& config, const BuildOptions& options) {
    if (task_ != TaskType::kSeqCls)
      throw usage_error("--task_type {} is not supported for bert yet", name_of(task_));
    builder.linear(pooler_, "bert.pooler.dense", size_, size_);
    builder.head(output_, "classifier", size_, options.num_labels,
                 config.number("initializer_range", 0.02));
    sites.head_modules = {"classifier", "score"};
    const double p = config.number("classifier_dropout", config.number("hidden_dropout_prob", 0.1));
    head_dropout_ = builder.dropout(options.model_dropout.value_or(p));
  }

  at::Tensor embed(const Pass& pass) const {
    const PackedText& text = pass.text();
    at::Tensor sum = at::embedding(words_, text.tokens).to(at::kFloat);
    sum = sum + (text.token_types.defined() ? at::embedding(types_, text.token_types) : types_[0]);
    sum = sum + at::embedding(position_table_, pass.positions());
    return dropout(embedding_norm_(sum, {}, pass), pass, embedding_dropout_);
  }

  // One layer for the tokens of `query_pass`, which see all of `hidden`.
  at::Tensor run(const Layer& layer, const at::Tensor& queries, const Pass& query_pass,
                 const at::Tensor& hidden, const Pass& pass) const {
    const at::Tensor seen =
        layer.attention(layer.query(queries, query_pass), layer.key(hidden, pass),
                        layer.value(hidden, pass), query_pass, pass);
    const at::Tensor attended =
        layer.attention_norm(layer.attention_output(seen, query_pass), queries, query_pass,
                             layer.attention_output_dropout);
    const at::Tensor inner = activation_(layer.intermediate(attended, query_pass));
    return layer.output_norm(layer.output(inner, query_pass), attended, query_pass,
                             layer.output_dropout);
  }

  TaskType task_;
  int64_t heads_, size_, positions_, vocabulary_;
  std::vector<Layer> layers_;
  Activation activation_;
  at::Tensor words_, position_table_, types_;
  LayerNorm embedding_norm_;
  DropoutSite embedding_dropout_, head_dropout_;
  Linear pooler_, output_;
};

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  return std::make_unique<Bert>(config, options, source);
}

// Checkpoints of the bare encoder lack "bert."; old ones call a norm's parameters gamma and beta.
std::vector<std::string> names_in_file(const std::string& path) {
  std::vector<std::string> names = {path};
  if (path.starts_with("bert.")) names.push_back(path.substr(5));
  for (const auto& [now, then] :
       {std::pair{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}) {
    if (!path.ends_with(now)) continue;
    for (size_t i = 0, count = names.size(); i < count; ++i) {
      names.push_back(names[i].substr(0, names[i].size() - std::string_view(now).size()) + then);
    }
  }
  return names;
}

}  // namespace

extern const Family kBert;
const Family kBert = {"bert", build, names_in_file};

}  // namespace rankwise
