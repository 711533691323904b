// The one wait loop of the backends that have something to poll (MPI, NCCL).
#pragma once

#include <functional>

#include "distributed/comm/communicator.h"
#include "distributed/watch/status_board.h"

namespace rankwise {

// Calls `done` until it returns true. Spins first, then yields, then sleeps, at most 200 us at a
// time: the latency of a short wait is kept, and an idle rank leaves its core to others. Throws
// what a roll call throws that finds a rank missing.
void wait_until(const Communicator& communicator, const Call& call,
                const std::function<bool()>& done);

}  // namespace rankwise
