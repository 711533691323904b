// BERT (Devlin et al., 2018; transformers' modeling_bert.py): token types, and for SEQ_CLS a pooler
// that comes with the base.
#include "peft/base/post_norm_encoder.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  PostNormEncoderSettings settings = bert_settings(config, options, "bert");
  if (options.task == TaskType::kSeqCls) {
    settings.head.dense = "bert.pooler.dense";
    settings.head.dense_is_new = false;
    settings.head.activation = activation("tanh");
    settings.head.dropout = config.number("classifier_dropout", settings.dropout);
  }
  return post_norm_encoder(options, source, settings);
}

}  // namespace

extern const Family kBert;
const Family kBert = {"bert", "Bert", build, post_norm_encoder_names, table_of_positions};

}  // namespace rankwise
