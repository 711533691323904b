// How long a collective takes, and how many of the numbers that it gives are wrong.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "distributed/comm/communicator.h"

namespace rankwise {

struct Probe {
  std::string collective;  // sum, broadcast or all_gather
  at::ScalarType type;
  int64_t bytes;  // of a rank's tensor; all_gather: of the result. Rounded down to whole elements
  int64_t iterations, warmup_iterations;  // both are checked, the first are timed
};

struct Measurement {
  int64_t bytes = 0;   // as rounded, at least one element a rank
  int64_t wrong = 0;   // elements, over all ranks and iterations
  double seconds = 0;  // a call: the slowest rank's mean, each call begun after a barrier
  double algorithm_bandwidth = 0, bus_bandwidth = 0;  // bytes a second
};

// The part of the bytes that each link carries, by the definition of nccl-tests: sum 2 (n - 1) / n,
// all_gather (n - 1) / n, broadcast 1. Bus bandwidth = algorithm bandwidth × this.
double bus_factor(const std::string& collective, int ranks);

// Collective; the result is the same on all ranks. Broadcasts come from each rank in turn.
Measurement measure(Communicator& communicator, const Probe& probe, at::Device device = at::kCPU);

}  // namespace rankwise
