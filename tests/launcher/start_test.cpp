// Who runs where, over ranks that are threads of this process.
#include "launcher/start.h"

#include <gtest/gtest.h>
#include <sched.h>

#include "distributed/core/error.h"
#include "tests/distributed/comm/corrupting.h"

namespace rankwise {
namespace {

int allowed_here() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  return CPU_COUNT(&allowed);
}

TEST(Start, WithoutALauncherIsOneRankWithoutMpi) {
  const auto communicator = start_ranks({});
  EXPECT_EQ(communicator->world().ranks, 1);
  EXPECT_STRNE(communicator->backend(), "mpi");
  EXPECT_EQ(find_placement(*communicator).default_threads, allowed_here());
}

TEST(Start, SlurmTasksWithoutPmixAreTold) {
  Surroundings surroundings;
  surroundings.launcher = Launcher::kSlurmWithoutPmix;
  surroundings.ranks = 4;
  try {
    start_ranks(surroundings);
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_STREQ(error.what(), "Slurm started 4 tasks that cannot find each other");
    EXPECT_EQ(error.hint(), "use srun --mpi=pmix");
  }
}

TEST(Start, CoresAreSharedByTheRanksOfANode) {
  run_as_threads(
      5,
      [](Communicator& communicator) {  // 3 and 2 ranks on two pretended nodes
        const Placement placement = find_placement(communicator);
        EXPECT_EQ(placement.default_threads, std::max(1, allowed_here() / 3));
        EXPECT_NE(placement.table.find(": ranks 0-2 on cores "), std::string::npos)
            << placement.table;
        EXPECT_NE(placement.table.find(": ranks 3-4 on cores "), std::string::npos)
            << placement.table;
      },
      2);
}

TEST(Start, ARankThatIsBoundCountsOnlyItsCores) {
  run_as_threads(2, [](Communicator& communicator) {  // affinity belongs to a thread
    cpu_set_t before, first;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&first);
    for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&first) == 0; ++core) {
      if (CPU_ISSET(core, &before)) CPU_SET(core, &first);
    }
    sched_setaffinity(0, sizeof first, &first);
    EXPECT_EQ(find_placement(communicator).default_threads, 1);
  });
}

TEST(Start, ARankThatIsGivenWrongNumbersIsNamed) {
  run_as_threads(3, [](Communicator& honest) {
    check_ranks(honest);
    Corrupting communicator(honest, "sum", at::kDouble, 2);
    try {
      check_ranks(communicator);
      ADD_FAILURE() << "started";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
      EXPECT_NE(std::string(error.what()).find("1 of 1031 elements are wrong (rank 2 on host "),
                std::string::npos)
          << error.what();
    }
  });
}

TEST(Start, OneRankIsNotTested) {
  const auto alone = single_rank();
  Corrupting communicator(*alone, "sum", at::kDouble, 0);
  check_ranks(communicator);
  EXPECT_EQ(communicator.phase(), "start");
}

TEST(Start, RangesAreShort) {
  EXPECT_EQ(ranges({}), "");
  EXPECT_EQ(ranges({5}), "5");
  EXPECT_EQ(ranges({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
}

}  // namespace
}  // namespace rankwise
