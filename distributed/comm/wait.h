// The one wait loop of the backends that have something to poll (MPI, NCCL), and what is said when
// a wait is too long.
#pragma once

#include <cstdint>
#include <functional>

#include "distributed/comm/communicator.h"
#include "distributed/core/error.h"

namespace rankwise {

// A collective in flight. Equal calls have equal numbers on all ranks, which tells a late rank from
// a lost one.
struct Call {
  const char* collective = "";
  int64_t number = 0;  // from 1
};

// "rank 2 of 4 on host n1 waited 300 s in sum number 17 (phase: training)"
Error hang_error(const Communicator& communicator, const Call& call);

// Calls `done` until it returns true. Spins first, then yields, then sleeps, at most 200 us at a
// time: the latency of a short wait is kept, and an idle rank leaves its core to others. Throws
// hang_error after the communicator's limit.
void wait_until(const Communicator& communicator, const Call& call,
                const std::function<bool()>& done);

}  // namespace rankwise
