// Llama 2 and 3 (transformers' modeling_llama.py): rope_scaling linear and llama3, grouped heads,
// tied and untied heads.
#include "peft/base/rotary_decoder.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  RotaryDecoderSettings settings = rotary_decoder_settings(config, false);
  settings.query_bias = settings.output_bias = config.boolean("attention_bias", false);
  settings.inner_bias = config.boolean("mlp_bias", false);
  if (options.task == TaskType::kQuestionAns) settings.body = "transformer";
  return rotary_decoder(config, options, source, settings);
}

}  // namespace

extern const Family kLlama;
const Family kLlama = {"llama", "Llama", build, rotary_decoder_names, table_of_positions};

}  // namespace rankwise
