// Whether all ranks hold the same numbers: they should, since each applies the same sum.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "distributed/comm/communicator.h"

namespace rankwise {

// Collective. values: contiguous, on the CPU. Errors (all ranks): kCommunication: names the ranks
// whose bytes are not those of the largest group (of equal groups: the one with the lowest rank),
// with their hosts; `what` says what differs.
void expect_same_everywhere(Communicator& communicator, const at::Tensor& values,
                            const std::string& what);

}  // namespace rankwise
