// Qwen3 (transformers' modeling_qwen3.py): RMS norms of each head's q and k before the rotary
// positions, and a head size of its own.
#include "peft/base/qwen.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  RotaryDecoderSettings settings = rotary_decoder_settings(config, false);
  settings.head_size = config.integer("head_dim", 128);
  settings.query_bias = settings.output_bias = config.boolean("attention_bias", false);
  settings.head_norms = true;
  settings.windows = qwen_windows(config);
  if (options.task == TaskType::kQuestionAns) settings.body = "transformer";
  return rotary_decoder(config, options, source, settings);
}

}  // namespace

extern const Family kQwen3;
const Family kQwen3 = {"qwen3", "Qwen3", build, rotary_decoder_names, table_of_positions};

}  // namespace rankwise
