// Gemma 2 (Riviere et al., 2024; transformers' modeling_gemma2.py): norms on both sides of each
// block with weights that are offsets from 1, capped scores and logits, windows in every second
// layer.
#include <cmath>

#include "peft/base/rotary_decoder.h"

namespace rankwise {
namespace {

std::vector<int64_t> windows(const Config& config) {
  std::vector<int64_t> windows(static_cast<size_t>(config.integer("num_hidden_layers")), 0);
  const int64_t window = config.integer("sliding_window", 4096);
  const Json types = config.json().value("layer_types", Json());
  for (size_t i = 0; i < windows.size(); ++i) {
    const bool slides =
        types.is_array() && i < types.size() ? types[i] == "sliding_attention" : i % 2 == 0;
    if (slides) windows[i] = window;
  }
  return windows;
}

// Null turns a cap off; absent means the class's default.
double cap(const Config& config, const char* name, double otherwise) {
  return config.json().contains(name) ? config.number(name, 0) : otherwise;
}

std::unique_ptr<Base> build(const Config& config, const BuildOptions& options,
                            WeightSource& source) {
  if (options.task == TaskType::kQuestionAns)
    throw usage_error("--task_type QUESTION_ANS is not a task of 'gemma2'");
  RotaryDecoderSettings settings = rotary_decoder_settings(config, true);
  settings.head_size = config.integer("head_dim", 256);
  settings.query_bias = settings.output_bias = config.boolean("attention_bias", false);
  settings.windows = windows(config);
  settings.norm_offset = 1;
  settings.embedding_scale = std::sqrt(static_cast<double>(config.integer("hidden_size")));
  settings.post_norms = true;
  settings.score_softcap = cap(config, "attn_logit_softcapping", 50);
  settings.logit_softcap = cap(config, "final_logit_softcapping", 30);
  settings.score_scale = 1 / std::sqrt(config.number("query_pre_attn_scalar", 256));
  settings.activation = "gelu_pytorch_tanh";
  return rotary_decoder(config, options, source, settings);
}

}  // namespace

extern const Family kGemma2;
const Family kGemma2 = {"gemma2", "Gemma2", build, rotary_decoder_names, table_of_positions};

}  // namespace rankwise
