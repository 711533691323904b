// A self-test of every collective on known numbers.
#include "distributed/comm/self_test.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/ne.h>
#include <ATen/ops/stack.h>

#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

constexpr int64_t kElements = 1031;  // a prime, so that no vector width or slice divides it

// [kElements] small whole numbers that differ by rank; exact in every type, and their sums too.
at::Tensor pattern(int rank, at::ScalarType type) {
  return at::arange(kElements, at::kLong).remainder(7).add(1).mul(rank % 16 + 1).to(type);
}

void expect_equal(const at::Tensor& got, const at::Tensor& expected, const char* collective,
                  std::optional<Error>& failure) {
  const int64_t wrong = at::ne(got.cpu(), expected).sum().item<int64_t>();
  if (wrong == 0 || failure) return;
  failure = communication_error("self-test: {} of {}: {} of {} elements are wrong", collective,
                                at::toString(expected.scalar_type()), wrong, expected.numel());
}

}  // namespace

void self_test(Communicator& communicator, at::Device device) {
  const int rank = communicator.world().rank, ranks = communicator.world().ranks;
  std::optional<Error> failure;
  for (at::ScalarType type : {at::kLong, at::kInt, at::kFloat, at::kDouble}) {
    at::Tensor expected = pattern(0, type);
    for (int other = 1; other < ranks; ++other) expected.add_(pattern(other, type));
    at::Tensor values = pattern(rank, type).to(device);
    communicator.sum(values);
    expect_equal(values, expected, "sum", failure);
  }
  for (at::ScalarType type :
       {at::kLong, at::kInt, at::kFloat, at::kDouble, at::kByte, at::kBFloat16}) {
    for (int from : {0, ranks - 1}) {
      at::Tensor values = pattern(rank, type).to(device);
      communicator.broadcast(values, from);
      expect_equal(values, pattern(from, type), "broadcast", failure);
    }
    std::vector<at::Tensor> expected;
    for (int other = 0; other < ranks; ++other) expected.push_back(pattern(other, type));
    const at::Tensor all = communicator.all_gather(pattern(rank, type).to(device));
    expect_equal(all, at::stack(expected), "all_gather", failure);
  }
  communicator.barrier();
  agree(communicator, failure);
}

}  // namespace rankwise
