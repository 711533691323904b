// T5 and mT5 (Raffel et al., 2020; Xue et al., 2021; transformers' modeling_t5.py): encoder and
// decoder with relative position biases instead of positions, RMS norms, plain or gated
// feed-forward. FEATURE_EXTRACTION is the encoder alone (T5EncoderModel).
#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/cache.h"
#include "peft/base/decoder_head.h"
#include "peft/base/family.h"
#include "peft/base/ops/sent_to.h"
#include "peft/base/selection.h"

namespace rankwise {
namespace {

struct Attention {
  AttentionSite site;
  Linear query, key, value, output;
  RmsNorm norm;
  BlockOutput end;
};

struct FeedForward {
  Linear gate, up, down;  // plain: gate only
  RmsNorm norm;
  DropoutSite inner_dropout;
  BlockOutput end;
};

struct Block {
  Attention self, cross;  // cross: the decoder's
  FeedForward feed_forward;
};

// Encoder or decoder.
struct Stack {
  std::vector<Block> blocks;
  at::Tensor bias_table;  // [buckets, H], of block 0, for all
  RmsNorm norm;
  DropoutSite embedding_dropout, dropout;
  bool decodes = false;
};

using Bias = std::shared_ptr<const kernels::RelativeBias>;

// transformers' _relative_position_bucket: half of the buckets exact, the rest logarithmic.
int64_t bucket_of(int64_t distance, bool both_ways, int64_t buckets, int64_t furthest) {
  int64_t first = 0;
  if (both_ways) {
    buckets /= 2;
    if (distance > 0) first = buckets;
    distance = std::abs(distance);
  } else {
    distance = std::max<int64_t>(-distance, 0);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact) return first + distance;
  const float scaled =
      std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(furthest) / static_cast<double>(exact))) *
      static_cast<float>(buckets - exact);
  return first + std::min(exact + static_cast<int64_t>(scaled), buckets - 1);
}

class T5 : public Base {
 public:
  T5(const Config& config, const BuildOptions& options, WeightSource& source, bool tied_by_default)
      : size_(config.integer("d_model")),
        heads_(config.integer("num_heads")),
        head_size_(config.integer("d_kv")),
        vocabulary_(config.integer("vocab_size")),
        buckets_(config.integer("relative_attention_num_buckets", 32)),
        furthest_(config.integer("relative_attention_max_distance", 128)),
        tied_(config.boolean("tie_word_embeddings", tied_by_default)),
        encoder_only_(options.task == TaskType::kFeatureExtraction),
        dropout_(options.model_dropout.value_or(config.number("dropout_rate", 0.1))) {
    if (options.task != TaskType::kSeq2SeqLm && !encoder_only_)
      throw usage_error(
          "--task_type {} is not a task of '{}'; it has SEQ_2_SEQ_LM and FEATURE_EXTRACTION",
          name_of(options.task), config.text("model_type"));
    read_feed_forward(config);
    ModelBuilder builder(source, sites);
    builder.embedding(words_, "shared", vocabulary_, size_);
    const int64_t layers = config.integer("num_layers");
    encoder_.blocks.resize(static_cast<size_t>(layers));
    build_stack(builder, encoder_, "encoder", config);
    if (encoder_only_) return;
    decoder_.blocks.resize(static_cast<size_t>(config.integer("num_decoder_layers", layers)));
    decoder_.decodes = true;
    build_stack(builder, decoder_, "decoder", config);
    builder.output_embedding(output_, "lm_head", size_, vocabulary_, tied_ ? "shared.weight" : "");
  }

  at::Tensor features(const Pass& pass) const override {
    if (encoder_only_) return Selection(pass, all_tokens(pass))(encode(pass));
    const Pass decoding = pass.decoder();
    const KeyValueCache* cache = pass.options().cache;
    at::Tensor encoded;  // undefined where the cache holds what cross-attention needs
    if (!cache || !cache->holds(cross_slot(0))) encoded = encode(pass.without_cache());
    at::Tensor hidden = embed(decoder_, decoding);
    const Bias bias = bias_of(decoder_, decoding);
    for (const Block& block : decoder_.blocks) {
      if (!encoded.defined()) {
        hidden = decode(block, hidden, {}, decoding, pass, bias);
        continue;
      }
      hidden = checkpointed(pass, {hidden, encoded},
                            [this, &block, decoding, pass, bias](const auto& inputs) {
                              return decode(block, inputs[0], inputs[1], decoding, pass, bias);
                            });
    }
    const std::vector<int64_t> seen = decoding.targets();
    const Pass narrowed = decoding.at(seen);
    hidden = hidden.index_select(0, sent_to(pass.device(), at::tensor(seen)));
    hidden = dropout(decoder_.norm(hidden), narrowed, decoder_.dropout);
    return tied_ ? hidden / std::sqrt(static_cast<double>(size_)) : hidden;
  }

  const Linear& output() const override { return output_; }

 private:
  void read_feed_forward(const Config& config) {
    const std::string kind = config.text("feed_forward_proj", "relu");
    gated_ = kind.starts_with("gated-");
    // "gated-gelu" means gelu_new, as T5 1.1 and mT5 were trained.
    const std::string name = kind == "gated-gelu" ? "gelu_new" : gated_ ? kind.substr(6) : kind;
    activation_ = &activation(config, "dense_act_fn", name);
  }

  size_t cross_slot(size_t block) const { return decoder_.blocks.size() + block; }

  void build_attention(ModelBuilder& builder, Attention& attention, const std::string& path,
                       const char* name, size_t slot, bool causal, const Config& config) {
    const std::string inner = path + "." + name;
    const int64_t width = heads_ * head_size_;
    builder.linear(attention.query, inner + ".q", size_, width, false);
    builder.linear(attention.key, inner + ".k", size_, width, false);
    builder.linear(attention.value, inner + ".v", size_, width, false);
    builder.linear(attention.output, inner + ".o", width, size_, false);
    builder.rms_norm(attention.norm, path + ".layer_norm", size_, eps(config));
    attention.site = {.path = inner,
                      .slot = slot,
                      .heads = heads_,
                      .key_heads = heads_,
                      .head_size = head_size_,
                      .scale = 1,
                      .causal = causal,
                      .dropout = builder.dropout(dropout_)};
  }

  void build_stack(ModelBuilder& builder, Stack& stack, const std::string& path,
                   const Config& config) {
    const int64_t inner = config.integer("d_ff");
    stack.embedding_dropout = builder.dropout(dropout_);
    for (size_t i = 0; i < stack.blocks.size(); ++i) {
      Block& block = stack.blocks[i];
      const std::string layers = fmt::format("{}.block.{}.layer.", path, i);
      const size_t layer = i + (stack.decodes ? encoder_.blocks.size() : 0);
      build_attention(builder, block.self, layers + "0", "SelfAttention", i, stack.decodes, config);
      builder.attention(block.self.site);
      builder.block(block.self.end, BlockKind::kAttention, layers + "0", layer, size_,
                    builder.dropout(dropout_));
      if (i == 0)
        builder.embedding(stack.bias_table, layers + "0.SelfAttention.relative_attention_bias",
                          buckets_, heads_);
      if (stack.decodes) {
        build_attention(builder, block.cross, layers + "1", "EncDecAttention", cross_slot(i), false,
                        config);
        builder.block(block.cross.end, BlockKind::kCrossAttention, layers + "1", layer, size_,
                      builder.dropout(dropout_));
      }
      const std::string last = layers + (stack.decodes ? "2" : "1");
      build_feed_forward(builder, block.feed_forward, last, inner, config);
      builder.block(block.feed_forward.end, BlockKind::kFeedForward, last, layer, size_,
                    builder.dropout(dropout_));
    }
    builder.rms_norm(stack.norm, path + ".final_layer_norm", size_, eps(config));
    stack.dropout = builder.dropout(dropout_);
  }

  void build_feed_forward(ModelBuilder& builder, FeedForward& layer, const std::string& path,
                          int64_t inner, const Config& config) {
    const std::string dense = path + ".DenseReluDense";
    builder.linear(layer.gate, dense + (gated_ ? ".wi_0" : ".wi"), size_, inner, false);
    if (gated_) builder.linear(layer.up, dense + ".wi_1", size_, inner, false);
    builder.linear(layer.down, dense + ".wo", inner, size_, false);
    builder.rms_norm(layer.norm, path + ".layer_norm", size_, eps(config));
    layer.inner_dropout = builder.dropout(dropout_);
  }

  static double eps(const Config& config) { return config.number("layer_norm_epsilon", 1e-6); }

  at::Tensor embed(const Stack& stack, const Pass& pass) const {
    return dropout(words_(pass.text()), pass, stack.embedding_dropout);
  }

  // Enough for every pair of tokens of the pass and what the cache holds before them.
  Bias bias_of(const Stack& stack, const Pass& pass) const {
    auto bias = std::make_shared<kernels::RelativeBias>();
    for (const uint32_t position : pass.places().positions)
      bias->reach = std::max<int64_t>(bias->reach, position);
    bias->reach += sites.first_position;
    const at::Tensor table = stack.bias_table.cpu().to(at::kFloat).contiguous();
    const float* values = table.const_data_ptr<float>();
    for (int64_t head = 0; head < heads_; ++head) {
      for (int64_t distance = -bias->reach; distance <= bias->reach; ++distance) {
        const int64_t bucket = bucket_of(distance, !stack.decodes, buckets_, furthest_);
        bias->values.push_back(values[bucket * heads_ + head]);
      }
    }
    return bias;
  }

  at::Tensor encode(const Pass& pass) const {
    at::Tensor hidden = embed(encoder_, pass);
    const Bias bias = bias_of(encoder_, pass);
    for (const Block& block : encoder_.blocks) {
      hidden = checkpointed(pass, {hidden}, [this, &block, pass, bias](const auto& inputs) {
        return feed_forward(block.feed_forward, attend_self(block.self, inputs[0], pass, bias),
                            pass);
      });
    }
    return dropout(encoder_.norm(hidden), pass, encoder_.dropout);
  }

  at::Tensor decode(const Block& block, const at::Tensor& hidden, const at::Tensor& encoded,
                    const Pass& pass, const Pass& encoding, const Bias& bias) const {
    const at::Tensor attended = attend_self(block.self, hidden, pass, bias);
    return feed_forward(block.feed_forward,
                        attend_encoded(block.cross, attended, encoded, pass, encoding), pass);
  }

  at::Tensor attend_self(const Attention& layer, const at::Tensor& hidden, const Pass& pass,
                         const Bias& bias) const {
    const at::Tensor x = layer.norm(hidden);
    const at::Tensor seen = layer.site(layer.query(x, pass), layer.key(x, pass),
                                       layer.value(x, pass), pass, pass, bias);
    return layer.end(layer.output(seen, pass), hidden, pass);
  }

  at::Tensor attend_encoded(const Attention& layer, const at::Tensor& hidden,
                            const at::Tensor& encoded, const Pass& pass,
                            const Pass& encoding) const {
    const at::Tensor query = layer.query(layer.norm(hidden), pass);
    const at::Tensor seen = encoded.defined()
                                ? layer.site(query, layer.key(encoded, encoding),
                                             layer.value(encoded, encoding), pass, encoding)
                                : layer.site.over_cache(query, pass);
    return layer.end(layer.output(seen, pass), hidden, pass);
  }

  at::Tensor feed_forward(const FeedForward& layer, const at::Tensor& hidden,
                          const Pass& pass) const {
    const at::Tensor x = layer.norm(hidden);
    const at::Tensor gate = layer.gate(x, pass);
    const at::Tensor inner =
        gated_ ? gated(gate, layer.up(x, pass), *activation_) : (*activation_)(gate);
    const at::Tensor down = layer.down(dropout(inner, pass, layer.inner_dropout), pass);
    return layer.end(down, hidden, pass);
  }

  int64_t size_, heads_, head_size_, vocabulary_, buckets_, furthest_;
  bool tied_, encoder_only_, gated_ = false;
  double dropout_;
  const Activation* activation_ = nullptr;
  Embedding words_;
  Stack encoder_, decoder_;
  Linear output_;
};

std::unique_ptr<Base> build_t5(const Config& config, const BuildOptions& options,
                               WeightSource& source) {
  return std::make_unique<T5>(config, options, source, true);
}

std::unique_ptr<Base> build_mt5(const Config& config, const BuildOptions& options,
                                WeightSource& source) {
  return std::make_unique<T5>(config, options, source, false);
}

// Old checkpoints hold the word table once for each stack.
std::vector<std::string> names_in_file(const std::string& path) {
  if (path != "shared.weight") return {path};
  return {path, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"};
}

std::optional<int64_t> position_limit(const Config&) { return std::nullopt; }  // biases only

}  // namespace

extern const Family kT5, kMt5;
const Family kT5 = {"t5", "T5", build_t5, names_in_file, position_limit};
const Family kMt5 = {"mt5", "MT5", build_mt5, names_in_file, position_limit};

}  // namespace rankwise
