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

const RankGpu kFirst{0, "0000:01:00.0"}, kSecond{1, "0000:02:00.0"},
    kNone{0, "", "no CUDA device is visible", "no CUDA device is visible"};

// Whether ranks with these GPUs compute on them, the same on all; or the error.
std::string computing(const std::string& wanted, const std::vector<RankGpu>& gpus) {
  std::vector<std::string> all(gpus.size());
  run_as_threads(static_cast<int>(gpus.size()), [&](Communicator& communicator) {
    const auto rank = static_cast<size_t>(communicator.world().rank);
    try {
      all[rank] = choose_cuda(communicator, wanted, gpus[rank]) ? "cuda" : "cpu";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_TRUE(error.agreed());
      all[rank] = error.what();
    }
  });
  for (const std::string& one : all) EXPECT_EQ(one, all[0]);
  return all[0];
}

TEST(Device, IsTheGpuWhereEveryRankHasOneOfItsOwn) {
  EXPECT_EQ(computing("auto", {kFirst, kSecond}), "cuda");
  EXPECT_EQ(computing("cuda", {kFirst}), "cuda");
  EXPECT_EQ(computing("cpu", {kFirst, kSecond}), "cpu");
  EXPECT_EQ(computing("", {kFirst}), "cpu") << "a verb that has no such option";
  EXPECT_EQ(computing("auto", {kFirst, kNone}), "cpu");
}

TEST(Device, WhatSpeaksAgainstTheGpuIsNamed) {
  EXPECT_TRUE(computing("cuda", {kFirst, kNone}).starts_with("--device cuda: rank 1 on host "));
  for (const char* wanted : {"auto", "cuda"}) {
    const std::string error = computing(wanted, {kFirst, kSecond, kFirst});
    EXPECT_TRUE(error.starts_with(std::string("--device ") + wanted + ": ranks 0 and 2 on host "))
        << error;
    EXPECT_TRUE(error.ends_with(" share one GPU (0000:01:00.0)")) << error;
  }
}

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
