// Inputs are made and results checked outside of the timed part.
#include "distributed/comm/measure.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <chrono>

#include "distributed/comm/known_numbers.h"

namespace rankwise {
namespace {

struct Attempt {
  at::Tensor mine, result;  // result: where the collective works in place, or what it returned
  int from = 0;
};

double timed_call(Communicator& communicator, const std::string& collective, Attempt& call) {
  communicator.barrier();
  const auto start = std::chrono::steady_clock::now();
  if (collective == "sum") {
    communicator.sum(call.result);
  } else if (collective == "broadcast") {
    communicator.broadcast(call.result, call.from);
  } else {
    call.result = communicator.all_gather(call.mine);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

at::Tensor expected_of(const std::string& collective, int from, int ranks, const at::Tensor& mine) {
  const at::ScalarType type = mine.scalar_type();
  if (collective == "sum") return known_sum(ranks, mine.numel(), type);
  if (collective == "broadcast") return known_numbers(from, mine.numel(), type);
  return known_gathered(ranks, mine.numel(), type);
}

}  // namespace

double bus_factor(const std::string& collective, int ranks) {
  if (collective == "broadcast") return 1;
  const double others = static_cast<double>(ranks - 1) / ranks;
  return collective == "sum" ? 2 * others : others;
}

Measurement measure(Communicator& communicator, const Probe& probe, at::Device device) {
  const int rank = communicator.world().rank, ranks = communicator.world().ranks;
  const int64_t parts = probe.collective == "all_gather" ? ranks : 1;
  const auto item = static_cast<int64_t>(c10::elementSize(probe.type));
  const int64_t elements = std::max<int64_t>(1, probe.bytes / (item * parts));
  Attempt call{known_numbers(rank, elements, probe.type).to(device), {}};
  at::Tensor expected = expected_of(probe.collective, 0, ranks, call.mine);
  int64_t wrong = 0;
  double seconds = 0;
  for (int64_t i = 0; i < probe.warmup_iterations + probe.iterations; ++i) {
    call.from = static_cast<int>(i % ranks);
    const bool sends = probe.collective == "sum" || call.from == rank;
    call.result = at::Tensor();  // before another is made
    if (probe.collective != "all_gather")
      call.result = sends ? call.mine.clone() : at::zeros_like(call.mine);
    const double took = timed_call(communicator, probe.collective, call);
    if (i >= probe.warmup_iterations) seconds += took;
    if (probe.collective == "broadcast")
      expected = expected_of(probe.collective, call.from, ranks, call.mine);
    wrong += wrong_elements(call.result, expected);
  }
  const at::Tensor all = communicator.all_gather(at::tensor(
      {static_cast<double>(wrong), seconds / static_cast<double>(probe.iterations)}, at::kDouble));
  Measurement result{.bytes = elements * item * parts,
                     .wrong = static_cast<int64_t>(all.select(1, 0).sum().item<double>()),
                     .seconds = all.select(1, 1).max().item<double>()};
  result.algorithm_bandwidth = static_cast<double>(result.bytes) / result.seconds;
  result.bus_bandwidth = result.algorithm_bandwidth * bus_factor(probe.collective, ranks);
  return result;
}

}  // namespace rankwise
