// The self-test finds a communicator that gives wrong numbers on one rank, and names it.
#include "distributed/comm/self_test.h"

#include <gtest/gtest.h>

#include "distributed/core/error.h"
#include "tests/distributed/comm/corrupting.h"

namespace rankwise {
namespace {

TEST(SelfTest, NamesTheCollectiveTheTypeAndTheRank) {
  for (const std::string collective : {"sum", "broadcast", "all_gather"}) {
    for (at::ScalarType type : {at::kLong, at::kInt, at::kFloat, at::kDouble}) {
      int told = 0;
      run_as_threads(3, [&](Communicator& honest) {
        Corrupting communicator(honest, collective, type, 1);
        std::string message;
        try {
          self_test(communicator);
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
          message = error.what();
        }
        const int elements = collective == "all_gather" ? 3 * 1031 : 1031;
        EXPECT_EQ(message,
                  fmt::format("self-test: {} of {}: 1 of {} elements are wrong (rank 1 on host {})",
                              collective, at::toString(type), elements, honest.world().hosts[1]));
        if (honest.world().rank == 0) ++told;
      });
      EXPECT_EQ(told, 1);
    }
  }
}

}  // namespace
}  // namespace rankwise
