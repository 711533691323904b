// Small whole numbers that differ by rank and position, exact in every type as their sums are: what
// the self-test and the verb `collectives` send, and how both count what came out wrong.
#pragma once

#include <ATen/core/Tensor.h>

namespace rankwise {

// [elements] what a rank sends.
at::Tensor known_numbers(int rank, int64_t elements, at::ScalarType type);
// [elements] the sum of what `ranks` ranks send. Exact up to 10^5 ranks in float.
at::Tensor known_sum(int ranks, int64_t elements, at::ScalarType type);
// [ranks, elements] what all of them send.
at::Tensor known_gathered(int ranks, int64_t elements, at::ScalarType type);

// Elements that differ, on any device. Shapes must be the same.
int64_t wrong_elements(const at::Tensor& got, const at::Tensor& expected);

}  // namespace rankwise
