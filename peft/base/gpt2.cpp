// GPT-2 (Radford et al., 2019; transformers' modeling_gpt2.py): pre-norm decoder, learned
// positions, query, key and value from one product, weights that the file holds transposed.
#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/decoder_head.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

struct Layer {
  AttentionSite attention;
  Linear query_key_value, attention_output, inner, output;
  LayerNorm attention_norm, inner_norm;
  BlockOutput attention_end, end;
};

class Gpt2 : public Base {
 public:
  Gpt2(const Config& config, const BuildOptions& options, WeightSource& source)
      : size_(config.integer("n_embd", 768)),
        heads_(config.integer("n_head", 12)),
        positions_(config.integer("n_positions", 1024)),
        vocabulary_(config.integer("vocab_size", 50257)),
        layers_(static_cast<size_t>(config.integer("n_layer", 12))),
        activation_(activation(config, "activation_function", "gelu_new")) {
    check(config);
    ModelBuilder builder(source, sites, options.bare("transformer."));
    const double eps = config.number("layer_norm_epsilon", 1e-5);
    builder.embedding(words_, "transformer.wte", vocabulary_, size_);
    builder.embedding(position_table_, "transformer.wpe", positions_, size_);
    embedding_dropout_ =
        builder.dropout(options.model_dropout.value_or(config.number("embd_pdrop", 0.1)));
    for (size_t i = 0; i < layers_.size(); ++i) build_layer(builder, i, config, options, eps);
    builder.layer_norm(norm_, "transformer.ln_f", size_, eps);
    head_.build(builder, sites, config, options, size_, config.boolean("tie_word_embeddings", true),
                {.word_table = "transformer.wte.weight", .token_head = "classifier"});
  }

  at::Tensor features(const Pass& pass) const override {
    at::Tensor hidden = words_(pass.text()) + looked_up(position_table_, pass.positions());
    hidden = dropout(hidden, pass, embedding_dropout_);
    const auto run_layer = [this, pass](size_t layer, const at::Tensor& x,
                                        const Selection& queries) {
      return run(layers_[layer], x, pass, queries);
    };
    const StackOutput seen = run_layers(pass, hidden, head_.seen(pass), layers_.size(), run_layer);
    return dropout(norm_(seen.hidden, {}, seen.pass), seen.pass, head_.dropout);
  }

  const Linear& output() const override { return head_.output; }

 private:
  void check(const Config& config) const {
    for (const char* name :
         {"add_cross_attention", "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx"}) {
      if (config.boolean(name, false)) throw config.error(name, "must be false");
    }
    if (!config.boolean("scale_attn_weights", true))
      throw config.error("scale_attn_weights", "must be true");
    if (layers_.empty()) throw config.error("n_layer", "must be at least 1");
    if (heads_ < 1 || size_ % heads_ != 0) throw config.error("n_head", "must divide n_embd");
  }

  void build_layer(ModelBuilder& builder, size_t index, const Config& config,
                   const BuildOptions& options, double eps) {
    Layer& layer = layers_[index];
    const std::string path = fmt::format("transformer.h.{}", index);
    const int64_t inner = config.integer("n_inner", 4 * size_);
    builder.layer_norm(layer.attention_norm, path + ".ln_1", size_, eps);
    builder.conv1d(layer.query_key_value, path + ".attn.c_attn", size_, 3 * size_);
    builder.conv1d(layer.attention_output, path + ".attn.c_proj", size_, size_);
    builder.layer_norm(layer.inner_norm, path + ".ln_2", size_, eps);
    builder.conv1d(layer.inner, path + ".mlp.c_fc", size_, inner);
    builder.conv1d(layer.output, path + ".mlp.c_proj", inner, size_);
    const double attention_p = options.model_dropout.value_or(config.number("attn_pdrop", 0.1));
    const double p = options.model_dropout.value_or(config.number("resid_pdrop", 0.1));
    layer.attention = {.path = path + ".attn",
                       .slot = index,
                       .heads = heads_,
                       .key_heads = heads_,
                       .head_size = size_ / heads_,
                       .scale = 1 / std::sqrt(static_cast<double>(size_ / heads_)),
                       .causal = true,
                       .dropout = builder.dropout(attention_p)};
    builder.attention(layer.attention);
    builder.block(layer.attention_end, BlockKind::kAttention, path + ".attention_adapters", index,
                  size_, builder.dropout(p));
    builder.block(layer.end, BlockKind::kFeedForward, path + ".output_adapters", index, size_,
                  builder.dropout(p));
  }

  // One layer for the tokens of `queries`, which see all of `hidden`.
  at::Tensor run(const Layer& layer, const at::Tensor& hidden, const Pass& pass,
                 const Selection& queries) const {
    const std::vector<at::Tensor> parts =
        at::split(layer.query_key_value(layer.attention_norm(hidden, {}, pass), pass), size_, 1);
    const at::Tensor seen =
        layer.attention(queries(parts[0]), parts[1], parts[2], queries.pass, pass);
    const at::Tensor attended = layer.attention_end(layer.attention_output(seen, queries.pass),
                                                    queries(hidden), queries.pass);
    const at::Tensor inner =
        activation_(layer.inner(layer.inner_norm(attended, {}, queries.pass), queries.pass));
    return layer.end(layer.output(inner, queries.pass), attended, queries.pass);
  }

  int64_t size_, heads_, positions_, vocabulary_;
  std::vector<Layer> layers_;
  const Activation& activation_;
  Embedding words_;
  at::Tensor position_table_;
  DropoutSite embedding_dropout_;
  LayerNorm norm_;
  DecoderHead head_;
};

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  return std::make_unique<Gpt2>(config, options, source);
}

// Checkpoints of the bare decoder, the published ones among them, lack "transformer.".
std::vector<std::string> names_in_file(const std::string& path) {
  std::vector<std::string> names = {path};
  if (path.starts_with("transformer.")) names.push_back(path.substr(12));
  return names;
}

}  // namespace

extern const Family kGpt2;
const Family kGpt2 = {"gpt2", "GPT2", build, names_in_file, table_of_positions};

}  // namespace rankwise
