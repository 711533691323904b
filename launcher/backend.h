// --device and --backend: where a job computes, and which communicator it gets.
#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "distributed/comm/communicator.h"
#include "distributed/core/log.h"

namespace rankwise {

// The GPU that is this rank's: its local rank modulo the devices it sees.
struct RankGpu {
  int device = 0;
  std::string name;             // the same for the same GPU of a host, however it is numbered
  std::string problem;          // why NCCL cannot work on this rank; empty: it can
  std::string compute_problem;  // why this rank cannot compute on it; empty: it can
};
RankGpu find_gpu(const World& world);

// Collective. wanted: auto, cpu or cuda. Whether the ranks compute on their GPUs: auto where each
// can. Errors (all ranks): kUsage: cuda was asked for and a rank cannot; two ranks of a host would
// compute on the same one.
bool choose_cuda(Communicator& communicator, const std::string& wanted, const RankGpu& mine);

// Collective. This rank's device from now on, ready to be used; wanted "": the CPU.
struct RankDevice {
  at::Device device = at::kCPU;
  std::string kind = "cpu";  // "NVIDIA H200"
};
RankDevice with_device(Communicator& communicator, const std::string& wanted, Log& log);

struct Backend {
  bool nccl = false;
  std::string reason;
};

// Collective. wanted: auto, mpi or nccl. auto is NCCL where every rank has a GPU of its own, else
// what brought the ranks together. Errors (all ranks): kUsage: nccl was asked for and a rank has no
// GPU, or two ranks of a host have the same one.
Backend choose_backend(Communicator& communicator, const std::string& wanted, const RankGpu& mine);

// Collective. The communicator that --backend asks for, on top of `host`; says which and why.
// Errors (all ranks): those of choose_backend and kCommunication.
std::unique_ptr<Communicator> with_backend(std::unique_ptr<Communicator> host,
                                           const std::string& wanted, Log& log);

}  // namespace rankwise
