// BERT and its relatives (Devlin et al., 2018; transformers' modeling_bert.py and those that follow
// it).
#include "peft/base/post_norm_encoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "peft/base/selection.h"

namespace rankwise {
namespace {

struct Layer {
  AttentionSite attention;
  Linear query, key, value, attention_output, intermediate, output;
  LayerNorm attention_norm, output_norm;
  BlockOutput attention_end, end;
};

class PostNormEncoder : public Base {
 public:
  PostNormEncoder(const BuildOptions& options, WeightSource& source,
                  const PostNormEncoderSettings& settings)
      : settings_(settings),
        model_dropout_(options.model_dropout),
        layers_(static_cast<size_t>(settings.layers)) {
    const std::string body = settings.embeddings.substr(0, settings.embeddings.find('.') + 1);
    ModelBuilder builder(source, sites, options.bare(body));
    build_embeddings(builder);
    for (size_t i = 0; i < layers_.size(); ++i) build_layer(builder, i);
    build_head(builder);
  }

  at::Tensor features(const Pass& pass) const override {
    at::Tensor hidden = embed(pass);
    const auto run_layer = [this, pass](size_t layer, const at::Tensor& x,
                                        const Selection& queries) {
      return run(layers_[layer], x, pass, queries);
    };
    const StackOutput seen =
        run_layers(pass, hidden, seen_by_head(pass), layers_.size(), run_layer);
    return on_top(seen.hidden, seen.pass);
  }

  const Linear& output() const override { return output_; }

 private:
  // The row of the table of positions for a row's first token.
  int64_t first_row() const { return settings_.pad_token + 1; }

  DropoutSite dropout_site(ModelBuilder& builder, std::optional<double> p) const {
    return builder.dropout(p ? model_dropout_.value_or(*p) : 0);
  }

  void build_embeddings(ModelBuilder& builder) {
    const std::string& path = settings_.embeddings;
    const int64_t size = settings_.size;
    builder.embedding(words_, path + ".word_embeddings", settings_.vocabulary, size,
                      settings_.padding);
    builder.embedding(position_table_, path + ".position_embeddings", settings_.position_rows,
                      size);
    if (settings_.token_types > 0)
      builder.embedding(types_, path + ".token_type_embeddings", settings_.token_types, size);
    builder.layer_norm(embedding_norm_, path + ".LayerNorm", size, settings_.eps);
    embedding_dropout_ = dropout_site(builder, settings_.dropout);
  }

  void build_layer(ModelBuilder& builder, size_t index) {
    const PostNormEncoderSettings& s = settings_;
    Layer& layer = layers_[index];
    const std::string path = fmt::format("{}.{}", s.layers_path, index);
    builder.linear(layer.query, path + s.query, s.size, s.size);
    builder.linear(layer.key, path + s.key, s.size, s.size);
    builder.linear(layer.value, path + s.value, s.size, s.size);
    builder.linear(layer.attention_output, path + s.attention_output, s.size, s.size);
    builder.layer_norm(layer.attention_norm, path + s.attention_norm, s.size, s.eps);
    builder.linear(layer.intermediate, path + s.intermediate, s.size, s.inner);
    builder.linear(layer.output, path + s.output, s.inner, s.size);
    builder.layer_norm(layer.output_norm, path + s.output_norm, s.size, s.eps);
    layer.attention = {.path = path + s.attention,
                       .slot = index,
                       .heads = s.heads,
                       .key_heads = s.heads,
                       .head_size = s.size / s.heads,
                       .scale = 1 / std::sqrt(static_cast<double>(s.size / s.heads)),
                       .dropout = dropout_site(builder, s.attention_dropout)};
    builder.attention(layer.attention);
    builder.block(layer.attention_end, BlockKind::kAttention, path + s.attention_end, index, s.size,
                  dropout_site(builder, s.attention_output_dropout), &layer.attention_norm);
    builder.block(layer.end, BlockKind::kFeedForward, path + s.end, index, s.size,
                  dropout_site(builder, s.dropout), &layer.output_norm);
  }

  void build_head(ModelBuilder& builder) {
    const PostNormEncoderSettings::Head& head = settings_.head;
    const int64_t size = settings_.size;
    first_head_dropout_ = dropout_site(builder, head.first_dropout);
    if (!head.dense.empty()) {
      if (head.dense_is_new) {
        builder.head(dense_, head.dense, size, size, head.deviation);
      } else {
        builder.linear(dense_, head.dense, size, size);
      }
      head_dropout_ = dropout_site(builder, head.dropout);
    }
    if (head.task == TaskType::kFeatureExtraction) return;
    builder.head(output_, head.output, size, head.outputs, head.deviation);
    sites.head_modules = head.task == TaskType::kQuestionAns
                             ? std::vector<std::string>{"qa_outputs"}
                             : std::vector<std::string>{"classifier", "score"};
  }

  std::vector<int64_t> seen_by_head(const Pass& pass) const {
    switch (settings_.head.task) {
      case TaskType::kSeqCls:
        return pass.first_tokens();
      case TaskType::kTokenCls:
        return pass.targets();
      case TaskType::kQuestionAns:
        return own_tokens(pass);
      default:
        return all_tokens(pass);
    }
  }

  // Rows of the table of positions, [T].
  at::Tensor position_rows(const Pass& pass) const {
    at::Tensor rows = pass.positions();
    if (settings_.pad_token < 0) return rows;
    if (pass.text().virtual_tokens > 0) return rows + first_row();  // no ids to look at, as there
    const std::vector<int64_t>& bounds = pass.places().bounds;
    const int64_t* token = pass.text().tokens.const_data_ptr<int64_t>();
    int64_t* row = rows.mutable_data_ptr<int64_t>();
    for (size_t s = 0; s + 1 < bounds.size(); ++s) {
      int64_t pads = 0;
      for (int64_t t = bounds[s]; t < bounds[s + 1]; ++t) {
        const bool pad = token[t] == settings_.pad_token;
        pads += pad;
        row[t] = pad ? settings_.pad_token : first_row() + row[t] - pads;
      }
    }
    return rows;
  }

  at::Tensor embed(const Pass& pass) const {
    const PackedText& text = pass.text();
    at::Tensor sum = words_(text);
    if (types_.defined()) {
      sum = sum + (text.token_types.defined() ? looked_up(types_, text.token_types) : types_[0]);
    }
    sum = sum + looked_up(position_table_, position_rows(pass));
    return dropout(embedding_norm_(sum, {}, pass), pass, embedding_dropout_);
  }

  // One layer for the tokens of `queries`, which see all of `hidden`.
  at::Tensor run(const Layer& layer, const at::Tensor& hidden, const Pass& pass,
                 const Selection& queries) const {
    const at::Tensor x = queries(hidden);
    const at::Tensor seen = layer.attention(layer.query(x, queries.pass), layer.key(hidden, pass),
                                            layer.value(hidden, pass), queries.pass, pass);
    const at::Tensor attended =
        layer.attention_end(layer.attention_output(seen, queries.pass), x, queries.pass);
    const at::Tensor inner = settings_.activation(layer.intermediate(attended, queries.pass));
    return layer.end(layer.output(inner, queries.pass), attended, queries.pass);
  }

  at::Tensor on_top(const at::Tensor& hidden, const Pass& pass) const {
    const at::Tensor x = dropout(hidden, pass, first_head_dropout_);
    if (settings_.head.dense.empty()) return x;
    return dropout(settings_.head.activation(dense_(x, pass)), pass, head_dropout_);
  }

  PostNormEncoderSettings settings_;
  std::optional<double> model_dropout_;
  std::vector<Layer> layers_;
  Embedding words_;
  at::Tensor position_table_, types_;
  LayerNorm embedding_norm_;
  DropoutSite embedding_dropout_, first_head_dropout_, head_dropout_;
  Linear dense_, output_;
};

}  // namespace

PostNormEncoderSettings bert_settings(const Config& config, const BuildOptions& options,
                                      const std::string& body) {
  if (config.text("position_embedding_type", "absolute") != "absolute") {
    throw config.error("position_embedding_type",
                       "must be 'absolute': relative positions are not supported");
  }
  for (const char* name : {"is_decoder", "add_cross_attention"}) {
    if (config.boolean(name, false)) throw config.error(name, "must be false");
  }
  PostNormEncoderSettings settings;
  settings.padding = config.integer("pad_token_id", 0);
  settings.size = config.integer("hidden_size");
  settings.heads = config.integer("num_attention_heads");
  settings.layers = config.integer("num_hidden_layers");
  settings.inner = config.integer("intermediate_size");
  settings.vocabulary = config.integer("vocab_size");
  settings.position_rows = config.integer("max_position_embeddings", 512);
  settings.token_types = config.integer("type_vocab_size", 2);
  if (settings.layers < 1) throw config.error("num_hidden_layers", "must be at least 1");
  if (settings.heads < 1 || settings.size % settings.heads != 0)
    throw config.error("num_attention_heads", "must divide hidden_size");
  settings.eps = config.number("layer_norm_eps", 1e-12);
  settings.activation = activation(config, "hidden_act", "gelu");
  settings.dropout = config.number("hidden_dropout_prob", 0.1);
  settings.attention_dropout = config.number("attention_probs_dropout_prob", 0.1);
  settings.attention_output_dropout = settings.dropout;
  settings.embeddings = body + ".embeddings";
  settings.layers_path = body + ".encoder.layer";
  settings.head =
      encoder_head(config, options, config.number("classifier_dropout", settings.dropout));
  return settings;
}

PostNormEncoderSettings::Head encoder_head(const Config& config, const BuildOptions& options,
                                           double token_dropout) {
  PostNormEncoderSettings::Head head{.task = options.task};
  head.deviation = config.number("initializer_range", 0.02);
  switch (options.task) {
    case TaskType::kSeqCls:
    case TaskType::kTokenCls:
      head.output = "classifier";
      head.outputs = options.num_labels;
      break;
    case TaskType::kQuestionAns:
      head.output = "qa_outputs";
      break;
    case TaskType::kFeatureExtraction:
      break;
    default:
      throw usage_error("--task_type {} is not a task of '{}'", name_of(options.task),
                        config.text("model_type"));
  }
  if (options.task == TaskType::kTokenCls) head.first_dropout = token_dropout;
  return head;
}

std::unique_ptr<Base> post_norm_encoder(const BuildOptions& options, WeightSource& source,
                                        const PostNormEncoderSettings& settings) {
  return std::make_unique<PostNormEncoder>(options, source, settings);
}

std::vector<std::string> post_norm_encoder_names(const std::string& path) {
  std::vector<std::string> names = {path};
  for (const std::string_view body : {"bert.", "roberta.", "distilbert."}) {
    if (path.starts_with(body)) names.push_back(path.substr(body.size()));
  }
  for (const auto& [now, then] :
       {std::pair{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}) {
    if (!path.ends_with(now)) continue;
    for (size_t i = 0, count = names.size(); i < count; ++i) {
      names.push_back(names[i].substr(0, names[i].size() - std::string_view(now).size()) + then);
    }
  }
  return names;
}

}  // namespace rankwise
