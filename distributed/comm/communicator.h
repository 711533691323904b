// What ranks can do together. Every call is collective: all ranks make the same calls in the same
// order, on tensors of the same shape and type. Backends: MPI, NCCL, threads of one process; one
// contract suite tests them all.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "distributed/comm/world.h"

namespace rankwise {

class RollCall;

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

  // A wait during which no rank told of progress for this many seconds throws
  // Error(kCommunication) that names who is missing, with host and phase (watch/roll_call.h).
  void limit_waits(double seconds) { hang_timeout_seconds_ = seconds; }
  double hang_timeout_seconds() const { return hang_timeout_seconds_; }
  void enter_phase(std::string phase);
  const std::string& phase() const { return phase_; }
  // This rank works: whoever waits for it goes on waiting. Cheap; from any thread.
  void progressed();
  // null: nobody waits for this rank.
  const std::shared_ptr<RollCall>& roll_call() const { return roll_call_; }

 protected:
  void be_watched(std::shared_ptr<RollCall> roll_call) { roll_call_ = std::move(roll_call); }

 private:
  double hang_timeout_seconds_ = 300;
  std::string phase_ = "start";
  std::shared_ptr<RollCall> roll_call_;
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
