// Counts cores by what the scheduler allows, not by what the machine has.
#include "launcher/start.h"

#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "distributed/comm/agree.h"
#include "distributed/comm/self_test.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

std::vector<int> allowed_cores() {
  constexpr int kMost = 8192;
  cpu_set_t* allowed = CPU_ALLOC(kMost);
  const size_t bytes = CPU_ALLOC_SIZE(kMost);
  std::vector<int> cores;
  if (sched_getaffinity(0, bytes, allowed) == 0) {
    for (int core = 0; core < kMost; ++core) {
      if (CPU_ISSET_S(core, bytes, allowed)) cores.push_back(core);
    }
  }
  CPU_FREE(allowed);
  return cores;
}

struct Node {
  std::string host;
  std::vector<int> ranks;
  std::set<int> cores;  // of all its ranks together
};

std::vector<Node> gather_nodes(Communicator& communicator) {
  const World& world = communicator.world();
  const auto texts = gather_texts(communicator, fmt::format("{}", fmt::join(allowed_cores(), " ")));
  std::vector<Node> nodes(world.nodes);
  for (int rank = 0; rank < world.ranks; ++rank) {
    Node& node = nodes[world.node_of[rank]];
    node.host = world.hosts[rank];
    node.ranks.push_back(rank);
    std::istringstream cores(texts[rank]);
    for (int core; cores >> core;) node.cores.insert(core);
  }
  return nodes;
}

}  // namespace

std::unique_ptr<Communicator> start_ranks(const Surroundings& surroundings) {
  if (surroundings.launcher == Launcher::kNone) return single_rank();
  if (surroundings.launcher == Launcher::kSlurmWithoutPmix) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("Slurm started {} tasks that cannot find each other", surroundings.ranks),
        "use srun --mpi=pmix");
  }
  auto communicator = mpi_communicator();
  const int joined = communicator->world().ranks;
  if (joined < surroundings.ranks) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{} ranks were started but MPI joins {}: this MPI library is not the "
                            "launcher's",
                            surroundings.ranks, joined),
                "start with the mpirun of the MPI that rankwise --version names, or use srun "
                "--mpi=pmix");
  }
  return communicator;
}

void check_ranks(Communicator& communicator) {
  constexpr double kLimitSeconds = 60;
  if (communicator.world().ranks == 1) return;
  const double limit = communicator.hang_timeout_seconds();
  communicator.limit_waits(kLimitSeconds);
  communicator.enter_phase("self-test of the collectives");
  self_test(communicator);
  communicator.limit_waits(limit);
}

Placement find_placement(Communicator& communicator) {
  Placement placement{.table = {}, .default_threads = INT64_MAX};
  for (const Node& node : gather_nodes(communicator)) {
    const auto cores = static_cast<int64_t>(node.cores.size());
    const auto ranks = static_cast<int64_t>(node.ranks.size());
    placement.default_threads =
        std::min(placement.default_threads, std::max<int64_t>(1, cores / ranks));
    placement.table +=
        fmt::format("{}  host {}: {} {} on cores {}", placement.table.empty() ? "" : "\n",
                    node.host, ranks == 1 ? "rank" : "ranks", ranges(node.ranks),
                    ranges({node.cores.begin(), node.cores.end()}));
  }
  return placement;
}

std::string ranges(const std::vector<int>& numbers) {
  std::string text;
  for (size_t first = 0; first < numbers.size();) {
    size_t last = first;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", numbers[first]);
    if (last > first) text += fmt::format("-{}", numbers[last]);
    first = last + 1;
  }
  return text;
}

}  // namespace rankwise
