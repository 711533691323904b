// Beam search with the tokens of transformers 4.57's (generation/utils.py, _beam_search), without
// sampling.
#pragma once

#include <vector>

#include "peft/model/decoding.h"
#include "peft/model/generate.h"

namespace rankwise {

// As generate() with num_beams > 1. A prompt's texts do not depend on the other prompts.
std::vector<std::vector<int64_t>> generate_by_beams(Decoding& decoding,
                                                    const std::vector<Prompt>& prompts,
                                                    const GenerationOptions& options,
                                                    const GenerationWatch& watch);

}  // namespace rankwise
