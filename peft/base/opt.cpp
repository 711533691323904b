// OPT (Zhang et al., 2022; transformers' modeling_opt.py): norms before each block, or behind it as
// in opt-350m, whose embeddings are also narrower than its layers; learned positions from row 2 on.
#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/decoder_head.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

constexpr int64_t kFirstPositionRow = 2;
constexpr double kNormEps = 1e-5;
const std::string kBody = "model.decoder.";

struct Layer {
  AttentionSite attention;
  Linear query, key, value, attention_output, inner, output;
  LayerNorm attention_norm, inner_norm;
  BlockOutput attention_end, end;
};

class Opt : public Base {
 public:
  Opt(const Config& config, const BuildOptions& options, WeightSource& source)
      : size_(config.integer("hidden_size", 768)),
        word_size_(config.integer("word_embed_proj_dim", size_)),
        heads_(config.integer("num_attention_heads", 12)),
        positions_(config.integer("max_position_embeddings", 2048)),
        vocabulary_(config.integer("vocab_size", 50272)),
        norm_first_(config.boolean("do_layer_norm_before", true)),
        layers_(static_cast<size_t>(config.integer("num_hidden_layers", 12))),
        activation_(activation(config, "activation_function", "relu")) {
    check(config, options);
    ModelBuilder builder(source, sites, options.bare("model."));
    builder.embedding(words_, kBody + "embed_tokens", vocabulary_, word_size_,
                      config.integer("pad_token_id", 1));
    builder.embedding(position_table_, kBody + "embed_positions", positions_ + kFirstPositionRow,
                      size_);
    if (word_size_ != size_) {
      builder.linear(project_out_, kBody + "project_out", size_, word_size_, false);
      builder.linear(project_in_, kBody + "project_in", word_size_, size_, false);
    }
    if (norm_first_ && !config.boolean("_remove_final_layer_norm", false))
      builder.layer_norm(norm_, kBody + "final_layer_norm", size_, kNormEps);
    for (size_t i = 0; i < layers_.size(); ++i) build_layer(builder, i, config, options);
    head_.build(builder, sites, config, options, word_size_,
                config.boolean("tie_word_embeddings", true),
                {.word_table = kBody + "embed_tokens.weight"});
  }

  at::Tensor features(const Pass& pass) const override {
    at::Tensor hidden = embed(pass);
    const auto run_layer = [this, pass](size_t layer, const at::Tensor& x,
                                        const Selection& queries) {
      return run(layers_[layer], x, pass, queries);
    };
    const StackOutput seen = run_layers(pass, hidden, head_.seen(pass), layers_.size(), run_layer);
    hidden = norm_.weight.defined() ? norm_(seen.hidden, {}, seen.pass) : seen.hidden;
    return word_size_ == size_ ? hidden : project_out_(hidden, seen.pass);
  }

  const Linear& output() const override { return head_.output; }

 private:
  void check(const Config& config, const BuildOptions& options) const {
    for (const char* name : {"enable_bias", "layer_norm_elementwise_affine"}) {
      if (!config.boolean(name, true)) throw config.error(name, "must be true");
    }
    if (config.number("layerdrop", 0) != 0) throw config.error("layerdrop", "must be 0");
    if (layers_.empty()) throw config.error("num_hidden_layers", "must be at least 1");
    if (heads_ < 1 || size_ % heads_ != 0)
      throw config.error("num_attention_heads", "must divide hidden_size");
    if (options.task == TaskType::kTokenCls)
      throw usage_error("--task_type TOKEN_CLS is not a task of 'opt'");
  }

  void build_layer(ModelBuilder& builder, size_t index, const Config& config,
                   const BuildOptions& options) {
    Layer& layer = layers_[index];
    const std::string path = fmt::format("{}layers.{}", kBody, index);
    const std::string attention = path + ".self_attn";
    const int64_t inner = config.integer("ffn_dim", 3072);
    builder.linear(layer.key, attention + ".k_proj", size_, size_);
    builder.linear(layer.value, attention + ".v_proj", size_, size_);
    builder.linear(layer.query, attention + ".q_proj", size_, size_);
    builder.linear(layer.attention_output, attention + ".out_proj", size_, size_);
    builder.layer_norm(layer.attention_norm, path + ".self_attn_layer_norm", size_, kNormEps);
    builder.linear(layer.inner, path + ".fc1", size_, inner);
    builder.linear(layer.output, path + ".fc2", inner, size_);
    builder.layer_norm(layer.inner_norm, path + ".final_layer_norm", size_, kNormEps);
    const double attention_p =
        options.model_dropout.value_or(config.number("attention_dropout", 0));
    const double p = options.model_dropout.value_or(config.number("dropout", 0.1));
    layer.attention = {.path = attention,
                       .slot = index,
                       .heads = heads_,
                       .key_heads = heads_,
                       .head_size = size_ / heads_,
                       .scale = 1 / std::sqrt(static_cast<double>(size_ / heads_)),
                       .causal = true,
                       .dropout = builder.dropout(attention_p)};
    builder.attention(layer.attention);
    builder.block(layer.attention_end, BlockKind::kAttention, path + ".attention_adapters", index,
                  size_, builder.dropout(p), norm_first_ ? nullptr : &layer.attention_norm);
    builder.block(layer.end, BlockKind::kFeedForward, path + ".output_adapters", index, size_,
                  builder.dropout(p), norm_first_ ? nullptr : &layer.inner_norm);
  }

  at::Tensor embed(const Pass& pass) const {
    at::Tensor words = words_(pass.text());
    if (word_size_ != size_) words = project_in_(words, pass);
    return words + looked_up(position_table_, pass.positions() + kFirstPositionRow);
  }

  // One layer for the tokens of `queries`, which see all of `hidden`.
  at::Tensor run(const Layer& layer, const at::Tensor& hidden, const Pass& pass,
                 const Selection& queries) const {
    const at::Tensor x = norm_first_ ? layer.attention_norm(hidden, {}, pass) : hidden;
    const at::Tensor seen =
        layer.attention(layer.query(queries(x), queries.pass), layer.key(x, pass),
                        layer.value(x, pass), queries.pass, pass);
    const at::Tensor attended = layer.attention_end(layer.attention_output(seen, queries.pass),
                                                    queries(hidden), queries.pass);
    const at::Tensor normed = norm_first_ ? layer.inner_norm(attended, {}, queries.pass) : attended;
    const at::Tensor inner = activation_(layer.inner(normed, queries.pass));
    return layer.end(layer.output(inner, queries.pass), attended, queries.pass);
  }

  int64_t size_, word_size_, heads_, positions_, vocabulary_;
  bool norm_first_;
  std::vector<Layer> layers_;
  const Activation& activation_;
  Embedding words_;
  at::Tensor position_table_;
  Linear project_in_, project_out_;
  LayerNorm norm_;  // undefined: none
  DecoderHead head_;
};

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  return std::make_unique<Opt>(config, options, source);
}

// Checkpoints of the bare model lack "model.".
std::vector<std::string> names_in_file(const std::string& path) {
  std::vector<std::string> names = {path};
  if (path.starts_with(kBody)) names.push_back(path.substr(6));
  return names;
}

}  // namespace

extern const Family kOpt;
const Family kOpt = {"opt", "OPT", build, names_in_file, table_of_positions};

}  // namespace rankwise
