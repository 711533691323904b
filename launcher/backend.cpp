// The choice is made from what all ranks see, so that all make the same.
#include "launcher/backend.h"

#include <fmt/ranges.h>

#include <vector>

#include "distributed/comm/agree.h"
#include "distributed/comm/nccl.h"
#include "launcher/start.h"
#include "peft/base/kernels/cuda/device.h"

namespace rankwise {
namespace {

// The first rank that has a problem, in words; "" where none has. problems: [ranks]
std::string first_problem(const World& world, const std::vector<std::string>& problems) {
  for (size_t rank = 0; rank < problems.size(); ++rank) {
    if (!problems[rank].empty())
      return fmt::format("rank {} on host {}: {}", rank, world.hosts[rank], problems[rank]);
  }
  return "";
}

// Two ranks of a host that have the same GPU, in words; "" where there are none. names: [ranks]
std::string shared_gpu(const World& world, const std::vector<std::string>& names) {
  for (size_t rank = 0; rank < names.size(); ++rank) {
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
  gpu.compute_problem = kernels::cuda_problem();
  if (cuda_devices() == 0) return gpu;
  gpu.device = world.local_rank % cuda_devices();
  gpu.name = cuda_device_name(gpu.device);
  return gpu;
}

bool choose_cuda(Communicator& communicator, const std::string& wanted, const RankGpu& mine) {
  if (wanted == "cpu" || wanted.empty()) return false;
  const World& world = communicator.world();
  const std::string problem =
                        first_problem(world, gather_texts(communicator, mine.compute_problem)),
                    shared = shared_gpu(world, gather_texts(communicator, mine.name));
  if (wanted == "auto" && !problem.empty()) return false;
  const std::string& against = problem.empty() ? shared : problem;
  if (!against.empty())
    throw Error(ErrorKind::kUsage, fmt::format("--device {}: {}", wanted, against),
                "--device cpu computes on CPUs")
        .as_agreed();
  return true;
}

RankDevice with_device(Communicator& communicator, const std::string& wanted, Log& log) {
  if (wanted == "cpu" || wanted.empty()) return {};
  const RankGpu gpu = find_gpu(communicator.world());
  if (!choose_cuda(communicator, wanted, gpu)) return {};
  together(communicator, "starting the GPU", [&] { kernels::use_cuda_device(gpu.device); });
  const std::string kind = kernels::cuda_device_kind(gpu.device);
  log.info("device: {} ({})", at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu.device)).str(),
           fmt::join(gather_texts(communicator, kind), ", "));
  return {at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu.device)), kind};
}

Backend choose_backend(Communicator& communicator, const std::string& wanted, const RankGpu& mine) {
  if (wanted == "mpi") return {false, "as asked for"};
  const std::vector<std::string> names = gather_texts(communicator, mine.name),
                                 problems = gather_texts(communicator, mine.problem);
  std::string against = first_problem(communicator.world(), problems);
  if (against.empty()) against = shared_gpu(communicator.world(), names);
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
