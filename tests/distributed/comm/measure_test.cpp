// Collectives over threads give no wrong element; a corrupted one is counted exactly.
#include "distributed/comm/measure.h"

#include <gtest/gtest.h>

#include "tests/distributed/comm/corrupting.h"

namespace rankwise {
namespace {

TEST(Measure, FindsNothingWrongOverThreads) {
  for (int ranks = 1; ranks <= 8; ++ranks) {
    for (const std::string collective : {"sum", "broadcast", "all_gather"}) {
      for (int64_t bytes : {8, 1000, 65536}) {
        run_as_threads(ranks, [&](Communicator& communicator) {
          const Measurement m = measure(communicator, {collective, at::kLong, bytes, 2, 1});
          EXPECT_EQ(m.wrong, 0) << collective << " of " << bytes << " over " << ranks;
          EXPECT_GT(m.seconds, 0);
          EXPECT_DOUBLE_EQ(m.bus_bandwidth, m.bytes / m.seconds * bus_factor(collective, ranks));
        });
      }
    }
  }
}

TEST(Measure, CountsEachWrongElementOnce) {
  for (const std::string collective : {"sum", "broadcast", "all_gather"}) {
    run_as_threads(3, [&](Communicator& honest) {
      Corrupting communicator(honest, collective, at::kInt, 1);
      EXPECT_EQ(measure(communicator, {collective, at::kInt, 24000, 4, 2}).wrong, 6);
      EXPECT_EQ(measure(communicator, {collective, at::kFloat, 24000, 4, 2}).wrong, 0);
    });
  }
}

TEST(Measure, BusFactorIsThatOfNcclTests) {
  EXPECT_DOUBLE_EQ(bus_factor("sum", 4), 1.5);
  EXPECT_DOUBLE_EQ(bus_factor("all_gather", 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor("broadcast", 4), 1);
}

}  // namespace
}  // namespace rankwise
