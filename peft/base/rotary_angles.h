// Frequencies of rotary positions and their scalings (transformers' modeling_rope_utils.py).
#pragma once

#include <vector>

#include "peft/base/ops/ops.h"
#include "peft/base/pass.h"
#include "peft/hub/model_folder.h"

namespace rankwise {

// [D/2] radians a position. rope_scaling: none, "default", "linear", "llama3". Errors: kModel.
std::vector<float> rotary_frequencies(const Config& config, int64_t head_size);

// The angles of all tokens of a pass.
RotaryAngles rotary_angles(const std::vector<float>& frequencies, const Pass& pass);

}  // namespace rankwise
