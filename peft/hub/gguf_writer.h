// Writes GGUF version 3 files.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "peft/hub/gguf.h"

namespace rankwise {

using GgufField = std::pair<std::string, std::variant<uint32_t, float, std::string>>;

// The bytes of a file with these keys and tensors, in this order; tensors at multiples of 32.
// Errors: kInternal: a type that GGUF does not have, bytes that do not fit a shape.
std::string to_gguf(const std::vector<GgufField>& metadata,
                    const std::vector<TensorBytes>& tensors);

}  // namespace rankwise
