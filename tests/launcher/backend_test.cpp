// Which backend is chosen, over ranks that are threads and pretend to see GPUs.
#include "launcher/backend.h"

#include <gtest/gtest.h>

#include <vector>

#include "distributed/core/error.h"

namespace rankwise {
namespace {

struct Chosen {
  Backend backend;
  std::string error;
};

// What ranks with these GPUs choose, the same on all.
Chosen chosen(const std::string& wanted, const std::vector<RankGpu>& gpus, int nodes = 1) {
  std::vector<Chosen> all(gpus.size());
  run_as_threads(
      static_cast<int>(gpus.size()),
      [&](Communicator& communicator) {
        const auto rank = static_cast<size_t>(communicator.world().rank);
        try {
          all[rank].backend = choose_backend(communicator, wanted, gpus[rank]);
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::kUsage);
          EXPECT_TRUE(error.agreed());
          all[rank].error = error.what();
        }
      },
      nodes);
  for (const Chosen& one : all) {
    EXPECT_EQ(one.backend.nccl, all[0].backend.nccl);
    EXPECT_EQ(one.backend.reason, all[0].backend.reason);
    EXPECT_EQ(one.error, all[0].error);
  }
  return all[0];
}

const RankGpu kFirst{0, "0000:01:00.0", ""}, kSecond{1, "0000:02:00.0", ""},
    kNone{0, "", "no CUDA device is visible"};

TEST(Backend, IsNcclWhereEveryRankHasAGpuOfItsOwn) {
  for (const char* wanted : {"auto", "nccl"}) {
    EXPECT_TRUE(chosen(wanted, {kFirst, kSecond}).backend.nccl);
    EXPECT_TRUE(chosen(wanted, {kFirst, kSecond, kFirst, kSecond}, 2).backend.nccl);
  }
  EXPECT_FALSE(chosen("mpi", {kFirst, kSecond}).backend.nccl);
}

TEST(Backend, WithoutAGpuOnEveryRankIsMpiOrAnError) {
  const Chosen one = chosen("auto", {kFirst, kSecond, kNone});
  EXPECT_FALSE(one.backend.nccl);
  EXPECT_TRUE(one.backend.reason.starts_with("rank 2 on host ")) << one.backend.reason;
  EXPECT_TRUE(one.backend.reason.ends_with(": no CUDA device is visible")) << one.backend.reason;
  EXPECT_EQ(chosen("nccl", {kFirst, kSecond, kNone}).error,
            "--backend nccl: " + one.backend.reason);
}

TEST(Backend, TwoRanksOnOneGpuAreNamed) {
  const Chosen one = chosen("nccl", {kFirst, kSecond, kFirst});
  EXPECT_TRUE(one.error.starts_with("--backend nccl: ranks 0 and 2 on host ")) << one.error;
  EXPECT_TRUE(one.error.ends_with(" share one GPU (0000:01:00.0)")) << one.error;
  EXPECT_FALSE(chosen("auto", {kFirst, kSecond, kFirst}).backend.nccl);
}

}  // namespace
}  // namespace rankwise
