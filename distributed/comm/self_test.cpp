// A self-test of every collective on known numbers.
#include "distributed/comm/self_test.h"

#include "distributed/comm/agree.h"
#include "distributed/comm/known_numbers.h"

namespace rankwise {
namespace {

constexpr int64_t kElements = 1031;  // a prime, so that no vector width or slice divides it

void expect_equal(const at::Tensor& got, const at::Tensor& expected, const char* collective,
                  std::optional<Error>& failure) {
  const int64_t wrong = wrong_elements(got, expected);
  if (wrong == 0 || failure) return;
  failure = communication_error("self-test: {} of {}: {} of {} elements are wrong", collective,
                                at::toString(expected.scalar_type()), wrong, expected.numel());
}

}  // namespace

void self_test(Communicator& communicator, at::Device device) {
  const int rank = communicator.world().rank, ranks = communicator.world().ranks;
  std::optional<Error> failure;
  for (at::ScalarType type : {at::kLong, at::kInt, at::kFloat, at::kDouble}) {
    at::Tensor values = known_numbers(rank, kElements, type).to(device);
    communicator.sum(values);
    expect_equal(values, known_sum(ranks, kElements, type), "sum", failure);
  }
  for (at::ScalarType type :
       {at::kLong, at::kInt, at::kFloat, at::kDouble, at::kByte, at::kBFloat16}) {
    for (int from : {0, ranks - 1}) {
      at::Tensor values = known_numbers(rank, kElements, type).to(device);
      communicator.broadcast(values, from);
      expect_equal(values, known_numbers(from, kElements, type), "broadcast", failure);
    }
    const at::Tensor all = communicator.all_gather(known_numbers(rank, kElements, type).to(device));
    expect_equal(all, known_gathered(ranks, kElements, type), "all_gather", failure);
  }
  communicator.barrier();
  agree(communicator, failure);
}

}  // namespace rankwise
