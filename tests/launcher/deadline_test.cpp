// The end of a Slurm job: from scontrol's words, and the same on all ranks.
#include "launcher/deadline.h"

#include <gtest/gtest.h>

#include "distributed/comm/agree.h"
#include "distributed/comm/communicator.h"
#include "launcher/slurm.h"

namespace rankwise {
namespace {

using namespace std::chrono;

TEST(Deadline, IsReadFromTheRecordOfTheJob) {
  const std::string text =
      "JobId=71 ArrayJobId=7 ArrayTaskId=0 EndTime=1790000111 Deadline=N/A\n"
      "JobId=7 ArrayJobId=7 ArrayTaskId=1 StartTime=1789999999 EndTime=1790000000 Deadline=N/A\n"
      "JobId=72 EndTime=Unknown\n";
  EXPECT_EQ(parse_job_end(text, "7"), seconds(1790000000));
  EXPECT_EQ(parse_job_end(text, "71"), seconds(1790000111));
  EXPECT_FALSE(parse_job_end(text, "72"));
  EXPECT_FALSE(parse_job_end(text, "1"));
  EXPECT_FALSE(parse_job_end("", "7"));
}

TEST(Deadline, IsRankZerosOnAllRanks) {
  run_as_threads(3, [](Communicator& communicator) {
    JobEnd end;  // of the others: not known
    if (communicator.world().rank == 0)
      end.time = duration_cast<seconds>((system_clock::now() + hours(1)).time_since_epoch());
    const auto deadline = common_deadline(communicator, end);
    ASSERT_TRUE(deadline);
    const duration<double> left = *deadline - steady_clock::now();
    EXPECT_NEAR(left.count(), 59 * 60, 5);
    EXPECT_FALSE(common_deadline(communicator, {}));
  });
}

TEST(Deadline, OutsideOfSlurmNothingIsAsked) {
  const JobEnd end = ask_job_end({});
  EXPECT_FALSE(end.time);
  EXPECT_EQ(end.unknown, "");
}

TEST(Deadline, OnlyRankZeroAsks) {
  Surroundings surroundings;
  surroundings.slurm_job = "none such";
  surroundings.rank = 1;
  EXPECT_EQ(ask_job_end(surroundings).unknown, "");
  surroundings.rank = 0;
  EXPECT_NE(ask_job_end(surroundings).unknown, "");  // no scontrol, or none that knows the job
  surroundings.job_end = seconds(1790000000);
  EXPECT_EQ(ask_job_end(surroundings).time, seconds(1790000000));
}

}  // namespace
}  // namespace rankwise
