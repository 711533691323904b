// A rank whose numbers differ is found and named.
#include "jobs/training/same_everywhere.h"

#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

std::string found_with_wrong(std::vector<int> wrong) {
  std::string message;
  run_as_threads(4, [&](Communicator& communicator) {
    const int rank = communicator.world().rank;
    at::Tensor values = at::arange(1001, at::kFloat);
    if (std::find(wrong.begin(), wrong.end(), rank) != wrong.end())
      values.mutable_data_ptr<float>()[1000] += 0.001F;
    try {
      expect_same_everywhere(communicator, values, "update 7: the adapter");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
      EXPECT_TRUE(error.agreed());
      if (rank == 0) message = error.what();
    }
  });
  return message;
}

TEST(SameEverywhere, NamesTheRanksThatDiffer) {
  EXPECT_EQ(found_with_wrong({}), "");
  const std::string one = found_with_wrong({2});
  EXPECT_TRUE(
      one.starts_with("update 7: the adapter on 1 of 4 ranks is not that of the others: "
                      "rank 2 on host "))
      << one;
  const std::string most = found_with_wrong({0, 1, 3});
  EXPECT_NE(most.find("on 1 of 4 ranks"), std::string::npos) << most;
  EXPECT_NE(most.find(": rank 2 on host "), std::string::npos) << most;
}

}  // namespace
}  // namespace rankwise
