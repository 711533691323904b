// The choice is made from what all ranks see, so that all make the same.
#include "launcher/backend.h"

#include <vector>

#include "distributed/comm/agree.h"
#include "distributed/comm/nccl.h"
#include "launcher/start.h"

namespace rankwise {
namespace {

// What speaks against NCCL, in words; empty: nothing does. names, problems: [ranks]
std::string obstacle(const World& world, const std::vector<std::string>& names,
                     const std::vector<std::string>& problems) {
  for (size_t rank = 0; rank < names.size(); ++rank) {
    if (!problems[rank].empty())
      return fmt::format("rank {} on host {}: {}", rank, world.hosts[rank], problems[rank]);
    for (size_t before = 0; before < rank; ++before) {
      if (names[before] == names[rank] && world.node_of[before] == world.node_of[rank]) {
        return fmt::format("ranks {} and {} on host {} share one GPU ({})", before, rank,
                           world.hosts[rank], names[rank]);
      }
    }
  }
  return "";
}

}  // namespace

RankGpu find_gpu(const World& world) {
  RankGpu gpu;
  gpu.problem = nccl_unavailable();
  if (!gpu.problem.empty()) return gpu;
  gpu.device = world.local_rank % cuda_devices();
  gpu.name = cuda_device_name(gpu.device);
  return gpu;
}

Backend choose_backend(Communicator& communicator, const std::string& wanted, const RankGpu& mine) {
  if (wanted == "mpi") return {false, "as asked for"};
  const std::vector<std::string> names = gather_texts(communicator, mine.name),
                                 problems = gather_texts(communicator, mine.problem);
  const std::string against = obstacle(communicator.world(), names, problems);
  if (against.empty()) return {true, "every rank has a GPU of its own"};
  if (wanted == "nccl")
    throw Error(ErrorKind::kUsage, "--backend nccl: " + against, "--backend mpi needs no GPU")
        .as_agreed();
  return {false, against};
}

std::unique_ptr<Communicator> with_backend(std::unique_ptr<Communicator> host,
                                           const std::string& wanted, Log& log) {
  if (wanted != "nccl" && host->world().ranks == 1) return host;  // nothing to sum
  const RankGpu gpu = wanted == "mpi" ? RankGpu{} : find_gpu(host->world());
  const Backend backend = choose_backend(*host, wanted, gpu);
  if (backend.nccl) {
    host = nccl_communicator(std::move(host), gpu.device);
    check_ranks(*host);
  }
  log.info("backend: {} ({})", host->backend(), backend.reason);
  return host;
}

}  // namespace rankwise
