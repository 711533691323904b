// The decoder of Llama and its relatives: pre-norm layers, RMS norms, rotary positions, gated
// feed-forward, grouped key heads. A family only says how its settings differ.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peft/base/family.h"

namespace rankwise {

struct RotaryDecoderSettings {
  int64_t head_size = 0;
  bool tied = false;
  bool query_bias = false, output_bias = false;  // of q, k, v; of o
  bool inner_bias = false;                       // of the feed-forward
  bool head_norms = false;                       // RMS norm of each head's q and k (Qwen3)
  std::vector<int64_t> windows;                  // [layers]; 0: sees everything before it
  std::string body = "model";                    // the module that holds the layers

  // Gemma 2
  double norm_offset = 0;
  double embedding_scale = 1;
  bool post_norms = false;  // a norm behind attention and feed-forward too
  double score_softcap = 0, logit_softcap = 0;
  double score_scale = 0;           // 0: 1 / √head_size
  std::string activation = "silu";  // where config.json has none
};

// What all of them read the same way: head size, whether the head is tied.
RotaryDecoderSettings rotary_decoder_settings(const Config& config, bool tied_by_default);

std::unique_ptr<Base> rotary_decoder(const Config& config, const BuildOptions& options,
                                     WeightSource& source, const RotaryDecoderSettings& settings);

// Checkpoints of the bare decoder lack "model."; some hold the head under the body's name.
std::vector<std::string> rotary_decoder_names(const std::string& path);

}  // namespace rankwise
