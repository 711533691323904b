// RoBERTa (Liu et al., 2019; transformers' modeling_roberta.py): positions count what is no padding
// id and begin behind its row; the head of SEQ_CLS has a dense layer of its own and no pooler.
#include "peft/base/post_norm_encoder.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  PostNormEncoderSettings settings = bert_settings(config, options, "roberta");
  settings.pad_token = config.integer("pad_token_id", 1);
  if (settings.pad_token < 0) throw config.error("pad_token_id", "must be 0 or more");
  settings.padding = settings.pad_token;
  if (options.task == TaskType::kSeqCls) {
    settings.head.dense = "classifier.dense";
    settings.head.output = "classifier.out_proj";
    settings.head.activation = activation("tanh");
    settings.head.first_dropout = settings.head.dropout =
        config.number("classifier_dropout", settings.dropout);
  }
  return post_norm_encoder(options, source, settings);
}

// The table's rows up to the padding id's are no positions.
std::optional<int64_t> position_limit(const Config& config) {
  return *table_of_positions(config) - config.integer("pad_token_id", 1) - 1;
}

}  // namespace

extern const Family kRoberta;
const Family kRoberta = {"roberta", "Roberta", build, post_norm_encoder_names, position_limit};

}  // namespace rankwise
