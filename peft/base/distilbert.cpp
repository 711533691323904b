// DistilBERT (Sanh et al., 2019; transformers' modeling_distilbert.py): BERT's layers under other
// names, no token types, no pooler, no dropout behind attention.
#include "peft/base/post_norm_encoder.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  PostNormEncoderSettings settings;
  settings.padding = config.integer("pad_token_id", 0);
  settings.size = config.integer("dim", 768);
  settings.heads = config.integer("n_heads", 12);
  settings.layers = config.integer("n_layers", 6);
  settings.inner = config.integer("hidden_dim", 3072);
  settings.vocabulary = config.integer("vocab_size", 30522);
  settings.position_rows = config.integer("max_position_embeddings", 512);
  if (settings.layers < 1) throw config.error("n_layers", "must be at least 1");
  if (settings.heads < 1 || settings.size % settings.heads != 0)
    throw config.error("n_heads", "must divide dim");
  settings.activation = activation(config, "activation", "gelu");
  settings.dropout = config.number("dropout", 0.1);
  settings.attention_dropout = config.number("attention_dropout", 0.1);
  settings.embeddings = "distilbert.embeddings";
  settings.layers_path = "distilbert.transformer.layer";
  settings.attention = ".attention";
  settings.query = ".attention.q_lin";
  settings.key = ".attention.k_lin";
  settings.value = ".attention.v_lin";
  settings.attention_output = ".attention.out_lin";
  settings.attention_norm = ".sa_layer_norm";
  settings.intermediate = ".ffn.lin1";
  settings.output = ".ffn.lin2";
  settings.output_norm = ".output_layer_norm";
  settings.attention_end = ".attention_adapters";
  settings.end = ".output_adapters";
  settings.head = encoder_head(config, options, settings.dropout);
  if (options.task == TaskType::kSeqCls) {
    settings.head.dense = "pre_classifier";
    settings.head.activation = activation("relu");
    settings.head.dropout = config.number("seq_classif_dropout", 0.2);
  }
  if (options.task == TaskType::kQuestionAns)
    settings.head.first_dropout = config.number("qa_dropout", 0.1);
  return post_norm_encoder(options, source, settings);
}

}  // namespace

extern const Family kDistilbert;
const Family kDistilbert = {"distilbert", "DistilBert", build, post_norm_encoder_names,
                            table_of_positions};

}  // namespace rankwise
