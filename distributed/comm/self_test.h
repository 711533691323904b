// A self-test of every collective, cheap enough (milliseconds) for each start: a network or a
// library that corrupts numbers is found before it trains on them.
#pragma once

#include <ATen/core/Tensor.h>

#include "distributed/comm/communicator.h"

namespace rankwise {

// Collective. Every collective in every type on small known numbers. Throws on all ranks
// Error(kCommunication) naming the collective, the type, the first rank with wrong elements and how
// many.
void self_test(Communicator& communicator, at::Device device = at::kCPU);

}  // namespace rankwise
