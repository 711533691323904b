// How ranks, hosts and nodes are numbered; shared by the backends.
#pragma once

#include <string>
#include <vector>

#include "distributed/comm/communicator.h"

namespace rankwise {

// hosts, node_keys: one text a rank. Ranks with equal keys are one node; nodes are numbered by
// their first rank.
World make_world(int rank, std::vector<std::string> hosts,
                 const std::vector<std::string>& node_keys);

// Collective. The ranks of the communicator that name the same group as this one, as a world.
World group_world(Communicator& communicator, int group);

std::string this_host();

}  // namespace rankwise
