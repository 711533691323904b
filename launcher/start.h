// Brings the ranks together and tells where they are.
#pragma once

#include <cstdint>
#include <memory>

#include "distributed/comm/communicator.h"
#include "distributed/core/log.h"
#include "launcher/surroundings.h"

namespace rankwise {

// Starts MPI only under a launcher. Errors: kUsage: Slurm tasks that cannot find each other, an MPI
// that is not the launcher's.
std::unique_ptr<Communicator> start_ranks(const Surroundings& surroundings);

// Collective. Sums, broadcasts and gathers known numbers, so that a network or a library that loses
// or changes some is found before it trains on them. Nothing to do for one rank. Errors (all
// ranks): kCommunication: names the first rank with wrong numbers; a rank that is not heard of
// within a minute.
void check_ranks(Communicator& communicator);

// Where each rank may run.
struct Placement {
  std::string table;        // a line a node: "  host a: ranks 0-3 on cores 0-7"
  int64_t default_threads;  // a rank: a node's allowed cores / its ranks, the least over all nodes
};

// Collective.
Placement find_placement(Communicator& communicator);

// "0-3,8" for {0, 1, 2, 3, 8}.
std::string ranges(const std::vector<int>& numbers);

}  // namespace rankwise
