// How ranks, hosts and nodes are numbered; shared by the backends.
#include "distributed/comm/world.h"

#include <ATen/ATen.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

namespace rankwise {

World make_world(int rank, std::vector<std::string> hosts,
                 const std::vector<std::string>& node_keys) {
  World world;
  world.rank = rank;
  world.ranks = static_cast<int>(hosts.size());
  world.hosts = std::move(hosts);
  std::map<std::string, int> node_numbers;
  for (const std::string& key : node_keys) {
    const int next = static_cast<int>(node_numbers.size());
    world.node_of.push_back(node_numbers.try_emplace(key, next).first->second);
  }
  const auto begin = world.node_of.begin();
  world.nodes = static_cast<int>(node_numbers.size());
  world.node = world.node_of[rank];
  world.local_rank = static_cast<int>(std::count(begin, begin + rank, world.node));
  world.local_ranks = static_cast<int>(std::count(begin, world.node_of.end(), world.node));
  return world;
}

std::vector<int> gather_groups(Communicator& communicator, int group) {
  const at::Tensor groups = communicator.all_gather(at::full({1}, group, at::kInt));
  const int* first = groups.const_data_ptr<int>();
  return {first, first + groups.numel()};
}

World group_world(const World& all, const std::vector<int>& groups) {
  int rank = 0;
  std::vector<std::string> hosts, node_keys;
  for (size_t other = 0; other < groups.size(); ++other) {
    if (groups[other] != groups[static_cast<size_t>(all.rank)]) continue;
    if (static_cast<int>(other) == all.rank) rank = static_cast<int>(hosts.size());
    hosts.push_back(all.hosts[other]);
    node_keys.push_back(std::to_string(all.node_of[other]));
  }
  return make_world(rank, std::move(hosts), node_keys);
}

std::string this_host() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace rankwise
