// Heads of decoders: lm_head, score, classifier, qa_outputs.
#include "peft/base/decoder_head.h"

#include "peft/base/selection.h"

namespace rankwise {

void DecoderHead::build(ModelBuilder& builder, Sites& sites, const Config& config,
                        const BuildOptions& options, int64_t features, bool tied,
                        const Names& names) {
  task = options.task;
  pad_token = config.integer("pad_token_id", -1);
  const double deviation = config.number("initializer_range", config.number("init_std", 0.02));
  switch (task) {
    case TaskType::kCausalLm:
      builder.output_embedding(output, "lm_head", features, config.integer("vocab_size"),
                               tied ? names.word_table : "");
      return;
    case TaskType::kSeqCls:
      builder.head(output, "score", features, options.num_labels, deviation, false);
      sites.head_modules = {"classifier", "score"};
      return;
    case TaskType::kTokenCls:
      builder.head(output, names.token_head, features, options.num_labels, deviation);
      dropout = builder.dropout(options.model_dropout.value_or(
          config.number("classifier_dropout", config.number("hidden_dropout", 0.1))));
      sites.head_modules = {"classifier", "score"};
      return;
    case TaskType::kQuestionAns:
      builder.head(output, "qa_outputs", features, 2, deviation);
      sites.head_modules = {"qa_outputs"};
      return;
    case TaskType::kFeatureExtraction:
      return;
    default:
      throw usage_error("--task_type {} is not a task of '{}'", name_of(task),
                        config.text("model_type"));
  }
}

std::vector<int64_t> DecoderHead::seen(const Pass& pass) const {
  if (task == TaskType::kSeqCls) return pass.last_tokens(pad_token);
  if (task == TaskType::kQuestionAns) return own_tokens(pass);
  return task == TaskType::kFeatureExtraction ? all_tokens(pass) : pass.targets();
}

}  // namespace rankwise
