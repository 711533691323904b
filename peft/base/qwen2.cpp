// Qwen2 and Qwen2.5 (transformers' modeling_qwen2.py): Llama with biases of q, k and v, and a
// sliding window in the later layers where config.json asks for it.
#include "peft/base/qwen.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  RotaryDecoderSettings settings = rotary_decoder_settings(config, false);
  settings.query_bias = true;
  settings.windows = qwen_windows(config);
  if (options.task == TaskType::kQuestionAns) settings.body = "transformer";
  return rotary_decoder(config, options, source, settings);
}

}  // namespace

extern const Family kQwen2;
const Family kQwen2 = {"qwen2", "Qwen2", build, rotary_decoder_names, table_of_positions};

}  // namespace rankwise
