// Initial values drawn as a pure function of (seed, name, element): the same on every rank, in any
// order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

namespace rankwise {

uint64_t hash_of(std::string_view text);  // FNV-1a, 64 bits

// float32 tensors.
at::Tensor draw_normal(at::IntArrayRef shape, double deviation, uint64_t seed,
                       std::string_view name);
at::Tensor draw_uniform(at::IntArrayRef shape, double bound, uint64_t seed,
                        std::string_view name);  // U(-bound, bound)

}  // namespace rankwise
