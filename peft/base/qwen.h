// What Qwen2 and Qwen3 share.
#pragma once

#include <vector>

#include "peft/base/rotary_decoder.h"

namespace rankwise {

// use_sliding_window: the layers from max_window_layers on see sliding_window tokens.
inline std::vector<int64_t> qwen_windows(const Config& config) {
  std::vector<int64_t> windows(static_cast<size_t>(config.integer("num_hidden_layers")), 0);
  if (!config.boolean("use_sliding_window", false)) return windows;
  const auto first = static_cast<size_t>(config.integer("max_window_layers", 28));
  for (size_t i = first; i < windows.size(); ++i)
    windows[i] = config.integer("sliding_window", 4096);
  return windows;
}

}  // namespace rankwise
