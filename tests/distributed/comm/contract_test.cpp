// The contract over one rank without a launcher and over threads.
#include "contract.h"

#include <gtest/gtest.h>

#include <atomic>

namespace rankwise {
namespace {

TEST(Contract, HoldsForASingleRank) {
  for (const ContractCase& contract_case : contract_cases()) {
    SCOPED_TRACE(contract_case.name);
    contract_case.run(*single_rank(), at::kCPU);
  }
}

struct Size {
  int ranks, nodes;
};

class ThreadsContract : public testing::TestWithParam<Size> {};

TEST_P(ThreadsContract, Holds) {
  const auto [ranks, nodes] = GetParam();
  for (const ContractCase& contract_case : contract_cases()) {
    std::atomic<int> ran = 0;
    run_as_threads(
        ranks,
        [&, ranks = ranks, nodes = nodes](Communicator& communicator) {
          SCOPED_TRACE(testing::Message()
                       << contract_case.name << " on rank " << communicator.world().rank);
          communicator.limit_waits(60);
          EXPECT_EQ(communicator.world().ranks, ranks);
          EXPECT_EQ(communicator.world().nodes, nodes);
          contract_case.run(communicator, at::kCPU);
          ++ran;
        },
        nodes);
    EXPECT_EQ(ran, ranks);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadsContract,
                         testing::Values(Size{1, 1}, Size{2, 1}, Size{3, 1}, Size{4, 1}, Size{8, 1},
                                         Size{2, 2}, Size{5, 2}),
                         [](const auto& info) {
                           return std::to_string(info.param.ranks) + "_ranks_" +
                                  std::to_string(info.param.nodes) + "_nodes";
                         });

}  // namespace
}  // namespace rankwise
