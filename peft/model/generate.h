// Text from a model: greedy, sampled or by beams, over a cache of keys and values without padding.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "peft/model/adapted_model.h"

namespace rankwise {

enum class BeamStopping { kNo, kYes, kNever };  // false, true, "never"

// By the names of transformers' GenerationConfig.
struct GenerationOptions {
  int64_t max_new_tokens = 20;
  bool do_sample = false;
  double temperature = 1;
  int64_t top_k = 50;  // 0: all
  double top_p = 1;
  int64_t num_return_sequences = 1;
  double repetition_penalty = 1;
  int64_t num_beams = 1;  // more: without do_sample, at least num_return_sequences
  double length_penalty = 1;
  BeamStopping early_stopping = BeamStopping::kNo;
  uint64_t seed = 42;
  std::vector<int64_t> eos_token_ids;  // empty: nothing ends a text but its length
  int64_t decoder_start_token = 0;     // of an encoder-decoder
  std::optional<int64_t> positions;    // of the model: a text ends where they end

  bool is_end(int64_t token) const;
};

struct Prompt {
  std::vector<int64_t> ids;
  int64_t row = 0;  // its number in the input: with the seed and the position, the key of sampling
};

struct GenerationWatch {
  // Whether a stop string ends a text here. so_far: with its prompt, or with the decoder's start.
  std::function<bool(const std::vector<int64_t>& so_far)> ends;
  // Hears of each new token when it is made (not with beams).
  std::function<void(int64_t token)> hears;
};

// New tokens of prompts × num_return_sequences texts, prompt major (beams: the best first), the end
// token included where one came. A text depends on its prompt, its row and the options alone.
// encoder_decoder: prompts are read by the encoder.
std::vector<std::vector<int64_t>> generate(const AdaptedModel& model,
                                           const std::vector<Prompt>& prompts,
                                           const GenerationOptions& options, bool encoder_decoder,
                                           const GenerationWatch& watch = {});

}  // namespace rankwise
