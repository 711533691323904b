// Llama and its relatives (Touvron et al., 2023; transformers' modeling_llama.py and those that
// follow it).
#include "peft/base/rotary_decoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/decoder_head.h"
#include "peft/base/rotary_angles.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

struct Layer {
  AttentionSite attention;
  Linear query, key, value, output, gate, up, down;
  RmsNorm input_norm, inner_norm;                // before attention, before the feed-forward
  RmsNorm post_attention_norm, post_inner_norm;  // Gemma 2's, behind them
  RmsNorm query_norm, key_norm;                  // Qwen3's, of each head
  BlockOutput attention_end, end;
};

class RotaryDecoder : public Base {
 public:
  RotaryDecoder(const Config& config, const BuildOptions& options, WeightSource& source,
                const RotaryDecoderSettings& settings)
      : settings_(settings),
        size_(config.integer("hidden_size")),
        heads_(config.integer("num_attention_heads")),
        key_heads_(config.integer("num_key_value_heads", heads_)),
        vocabulary_(config.integer("vocab_size")),
        layers_(static_cast<size_t>(config.integer("num_hidden_layers"))),
        activation_(activation(config,
                               config.has("hidden_activation") ? "hidden_activation" : "hidden_act",
                               settings.activation)),
        frequencies_(rotary_frequencies(config, settings.head_size)) {
    if (layers_.empty()) throw config.error("num_hidden_layers", "must be at least 1");
    if (key_heads_ < 1 || heads_ % key_heads_ != 0)
      throw config.error("num_key_value_heads", "must divide num_attention_heads");
    ModelBuilder builder(source, sites, options.bare(settings.body + "."));
    const std::string table = settings.body + ".embed_tokens";
    builder.embedding(words_, table, vocabulary_, size_, config.integer("pad_token_id", -1));
    for (size_t i = 0; i < layers_.size(); ++i) build_layer(builder, i, config, options);
    builder.rms_norm(norm_, settings.body + ".norm", size_, eps(config), settings.norm_offset);
    head_.build(builder, sites, config, options, size_, settings.tied, {table + ".weight"});
  }

  at::Tensor features(const Pass& pass) const override {
    at::Tensor hidden = words_(pass.text());
    if (settings_.embedding_scale != 1) hidden = hidden * settings_.embedding_scale;
    const RotaryAngles angles = rotary_angles(frequencies_, pass);
    const auto run_layer = [this, pass, angles](size_t layer, const at::Tensor& x,
                                                const Selection& queries) {
      return run(layers_[layer], x, pass, angles, queries);
    };
    const StackOutput seen = run_layers(pass, hidden, head_.seen(pass), layers_.size(), run_layer);
    return dropout(norm_(seen.hidden), seen.pass, head_.dropout);
  }

  const Linear& output() const override { return head_.output; }
  double logit_softcap() const override {
    return head_.task == TaskType::kCausalLm ? settings_.logit_softcap : 0;
  }

 private:
  static double eps(const Config& config) { return config.number("rms_norm_eps", 1e-6); }

  void build_layer(ModelBuilder& builder, size_t index, const Config& config,
                   const BuildOptions& options) {
    Layer& layer = layers_[index];
    const int64_t head = settings_.head_size, inner = config.integer("intermediate_size");
    const std::string path = fmt::format("{}.layers.{}", settings_.body, index);
    const std::string attention = path + ".self_attn", feed_forward = path + ".mlp";
    builder.linear(layer.query, attention + ".q_proj", size_, heads_ * head, settings_.query_bias);
    builder.linear(layer.key, attention + ".k_proj", size_, key_heads_ * head,
                   settings_.query_bias);
    builder.linear(layer.value, attention + ".v_proj", size_, key_heads_ * head,
                   settings_.query_bias);
    builder.linear(layer.output, attention + ".o_proj", heads_ * head, size_,
                   settings_.output_bias);
    if (settings_.head_norms) {
      builder.rms_norm(layer.query_norm, attention + ".q_norm", head, eps(config));
      builder.rms_norm(layer.key_norm, attention + ".k_norm", head, eps(config));
    }
    builder.linear(layer.gate, feed_forward + ".gate_proj", size_, inner, settings_.inner_bias);
    builder.linear(layer.up, feed_forward + ".up_proj", size_, inner, settings_.inner_bias);
    builder.linear(layer.down, feed_forward + ".down_proj", inner, size_, settings_.inner_bias);
    build_norms(builder, layer, path, config);
    const double p = config.number("attention_dropout", 0);
    const double scale = settings_.score_scale;
    layer.attention = {.path = attention,
                       .slot = index,
                       .heads = heads_,
                       .key_heads = key_heads_,
                       .head_size = head,
                       .scale = scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(head)),
                       .causal = true,
                       .window = settings_.windows.empty() ? 0 : settings_.windows[index],
                       .softcap = settings_.score_softcap,
                       .dropout = builder.dropout(options.model_dropout.value_or(p))};
    builder.attention(layer.attention);
    builder.block(layer.attention_end, BlockKind::kAttention, path + ".attention_adapters", index,
                  size_);
    builder.block(layer.end, BlockKind::kFeedForward, path + ".output_adapters", index, size_);
    if (!settings_.post_norms) return;
    layer.attention_end.outcome_norm = &layer.post_attention_norm;
    layer.attention_end.sum_norm = &layers_.back().post_attention_norm;
    layer.end.outcome_norm = &layer.post_inner_norm;
    layer.end.sum_norm = &layers_.back().post_inner_norm;
  }

  void build_norms(ModelBuilder& builder, Layer& layer, const std::string& path,
                   const Config& config) {
    const auto norm = [&](RmsNorm& target, const char* name) {
      builder.rms_norm(target, path + name, size_, eps(config), settings_.norm_offset);
    };
    norm(layer.input_norm, ".input_layernorm");
    if (!settings_.post_norms) {
      norm(layer.inner_norm, ".post_attention_layernorm");
      return;
    }
    norm(layer.post_attention_norm, ".post_attention_layernorm");
    norm(layer.inner_norm, ".pre_feedforward_layernorm");
    norm(layer.post_inner_norm, ".post_feedforward_layernorm");
  }

  at::Tensor heads_normed(const at::Tensor& x, const RmsNorm& norm) const {
    if (!settings_.head_norms) return x;
    return norm(x.view({-1, settings_.head_size})).view(x.sizes());
  }

  // One layer for the tokens of `queries`, which see all of `all`.
  at::Tensor run(const Layer& layer, const at::Tensor& all, const Pass& pass,
                 const RotaryAngles& angles, const Selection& queries) const {
    const at::Tensor x = layer.input_norm(all);
    const at::Tensor query =
        rotary(heads_normed(layer.query(queries(x), queries.pass), layer.query_norm),
               {queries(angles.cosine), queries(angles.sine)});
    const at::Tensor key = rotary(heads_normed(layer.key(x, pass), layer.key_norm), angles);
    const at::Tensor seen = layer.attention(query, key, layer.value(x, pass), queries.pass, pass);
    const at::Tensor hidden =
        layer.attention_end(layer.output(seen, queries.pass), queries(all), queries.pass);
    const at::Tensor normed = layer.inner_norm(hidden);
    const at::Tensor inner = layer.down(
        gated(layer.gate(normed, queries.pass), layer.up(normed, queries.pass), activation_),
        queries.pass);
    return layer.end(inner, hidden, queries.pass);
  }

  RotaryDecoderSettings settings_;
  int64_t size_, heads_, key_heads_, vocabulary_;
  std::vector<Layer> layers_;
  const Activation& activation_;
  std::vector<float> frequencies_;
  Embedding words_;
  RmsNorm norm_;
  DecoderHead head_;
};

}  // namespace

RotaryDecoderSettings rotary_decoder_settings(const Config& config, bool tied_by_default) {
  RotaryDecoderSettings settings;
  const int64_t heads = config.integer("num_attention_heads");
  if (heads < 1) throw config.error("num_attention_heads", "must be at least 1");
  settings.head_size = config.integer("head_dim", config.integer("hidden_size") / heads);
  settings.tied = config.boolean("tie_word_embeddings", tied_by_default);
  return settings;
}

std::unique_ptr<Base> rotary_decoder(const Config& config, const BuildOptions& options,
                                     WeightSource& source, const RotaryDecoderSettings& settings) {
  return std::make_unique<RotaryDecoder>(config, options, source, settings);
}

std::vector<std::string> rotary_decoder_names(const std::string& path) {
  std::vector<std::string> names = {path};
  for (const std::string body : {"model.", "transformer."}) {
    if (!path.starts_with(body)) continue;
    names.push_back("model." + path.substr(body.size()));
    names.push_back(path.substr(body.size()));
  }
  return names;
}

}  // namespace rankwise
