// How ranks, hosts and nodes are numbered; shared by the backends.
#pragma once

#include <string>
#include <vector>

namespace rankwise {

class Communicator;

struct World {
  int rank = 0, ranks = 1;
  int local_rank = 0, local_ranks = 1;  // among the ranks of this node
  int node = 0, nodes = 1;
  std::vector<std::string> hosts;  // [ranks] host name of each rank
  std::vector<int> node_of;        // [ranks]
  bool leads_node() const { return local_rank == 0; }
};

// hosts, node_keys: one text a rank. Ranks with equal keys are one node; nodes are numbered by
// their first rank.
World make_world(int rank, std::vector<std::string> hosts,
                 const std::vector<std::string>& node_keys);

// Collective. The group that each rank names, by rank.
std::vector<int> gather_groups(Communicator& communicator, int group);
// The ranks of `all` that are in this rank's group, as a world of their own.
World group_world(const World& all, const std::vector<int>& groups);

std::string this_host();

}  // namespace rankwise
