// Mistral (Jiang et al., 2023; transformers' modeling_mistral.py): Llama with a sliding window in
// every layer, unless config.json says null.
#include "peft/base/rotary_decoder.h"

namespace rankwise {
namespace {

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  RotaryDecoderSettings settings = rotary_decoder_settings(config, false);
  const bool absent = !config.json().contains("sliding_window");  // the class's default, not null
  settings.windows.assign(static_cast<size_t>(config.integer("num_hidden_layers")),
                          absent ? 4096 : config.integer("sliding_window", 0));
  return rotary_decoder(config, options, source, settings);
}

}  // namespace

extern const Family kMistral;
const Family kMistral = {"mistral", "Mistral", build, rotary_decoder_names, table_of_positions};

}  // namespace rankwise
