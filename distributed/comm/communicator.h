// What ranks can do together. Every call is collective: all ranks make the same calls in the same
// order, on tensors of the same shape and type. Backends: MPI, NCCL, threads of one process; one
// contract suite tests them all.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rankwise {

struct World {
  int rank = 0, ranks = 1;
  int local_rank = 0, local_ranks = 1;  // among the ranks of this node
  int node = 0, nodes = 1;
  std::vector<std::string> hosts;  // [ranks] host name of each rank
  std::vector<int> node_of;        // [ranks]
  bool leads_node() const { return local_rank == 0; }
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual const World& world() const = 0;
  virtual const char* backend() const = 0;  // "mpi", "nccl", "threads", "single"

  // int64, int32, float, double; contiguous; in place. Integer sums are exact in any order.
  virtual void sum(at::Tensor& values) = 0;
  virtual void broadcast(at::Tensor& values, int from) = 0;   // any type
  virtual at::Tensor all_gather(const at::Tensor& mine) = 0;  // [..] → [ranks, ..], any type
  virtual void barrier() = 0;
  // A communicator of those ranks that name the same group, numbered in their order. Its waits are
  // limited as here. It must be gone before this one.
  virtual std::unique_ptr<Communicator> split(int group) = 0;

  // Ends the whole job with this exit code, now. For errors that other ranks cannot know of.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  // A wait of more than this many seconds throws Error(kCommunication) that names the rank, its
  // host and the phase.
  void limit_waits(double seconds) { hang_timeout_seconds_ = seconds; }
  void enter_phase(std::string phase) { phase_ = std::move(phase); }
  const std::string& phase() const { return phase_; }
  double hang_timeout_seconds() const { return hang_timeout_seconds_; }

 private:
  double hang_timeout_seconds_ = 300;
  std::string phase_ = "start";
};

// One rank, no launcher: every collective is a copy of nothing. Does not start MPI.
std::unique_ptr<Communicator> single_rank();

// Starts MPI (MPI_THREAD_FUNNELED) and ends it when destroyed, but for after a failed collective:
// then only abort() is left. chunk_bytes: the largest piece that one MPI call carries (tests make
// it small). Errors: kCommunication.
std::unique_ptr<Communicator> mpi_communicator(int64_t chunk_bytes = int64_t{1} << 30);

// Runs body on `ranks` threads of this process, each with its own Communicator; rethrows the first
// rank's exception. nodes > 1 deals the ranks to that many pretended nodes in blocks.
void run_as_threads(int ranks, const std::function<void(Communicator&)>& body, int nodes = 1);

}  // namespace rankwise
