// What is the threads backend's alone: failing ranks, waits without end, calls that do not fit.
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <chrono>

#include "distributed/comm/agree.h"

namespace rankwise {
namespace {

std::string message_of(int ranks, const std::function<void(Communicator&)>& body, ErrorKind kind) {
  try {
    run_as_threads(ranks, body);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

// Every rank but one waits; `how` is what the absent one does instead.
TEST(Threads, AnAbsentRankEndsTheWaitAtTheLimit) {
  const auto start = std::chrono::steady_clock::now();
  const std::string message = message_of(
      3,
      [](Communicator& communicator) {
        communicator.limit_waits(0.2);
        communicator.enter_phase("training");
        communicator.barrier();
        if (communicator.world().rank == 1) return;
        at::Tensor values = at::zeros({2});
        communicator.sum(values);
      },
      ErrorKind::kCommunication);
  const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
  EXPECT_GE(waited.count(), 0.2);
  EXPECT_LT(waited.count(), 5);
  EXPECT_NE(message.find("of 3 on host "), std::string::npos) << message;
  EXPECT_NE(message.find(" s in sum number 2 (phase: training); missing: rank 1 on host "),
            std::string::npos)
      << message;
}

TEST(Threads, AHangInsideAnAgreedPhaseKeepsItsReason) {
  const std::string message = message_of(
      2,
      [](Communicator& communicator) {
        communicator.limit_waits(0.1);
        if (communicator.world().rank == 1) return;
        together(communicator, "meeting", [&] { communicator.barrier(); });
      },
      ErrorKind::kCommunication);
  EXPECT_NE(message.find("in barrier number 1 (phase: meeting)"), std::string::npos) << message;
}

TEST(Threads, AThrowingRankFreesTheOthersAndItsExceptionWins) {
  for (int failing : {0, 1, 3}) {
    const std::string message = message_of(
        4,
        [&](Communicator& communicator) {
          communicator.barrier();
          if (communicator.world().rank == failing) throw input_error("row {}", failing);
          for (;;) communicator.barrier();  // ends only by the others' failure
        },
        ErrorKind::kInput);
    EXPECT_EQ(message, fmt::format("row {}", failing));
  }
}

TEST(Threads, TheFirstRankWinsWhereSeveralFail) {
  const std::string message = message_of(
      4,
      [](Communicator& communicator) { throw model_error("rank {}", communicator.world().rank); },
      ErrorKind::kModel);
  EXPECT_EQ(message, "rank 0");
}

TEST(Threads, OtherExceptionsPassUnchanged) {
  EXPECT_THROW(run_as_threads(2,
                              [](Communicator& communicator) {
                                if (communicator.world().rank == 1) throw std::out_of_range("x");
                                communicator.barrier();
                              }),
               std::out_of_range);
}

TEST(Threads, AbortEndsAllWithTheExitCode) {
  const std::string message = message_of(
      3,
      [](Communicator& communicator) {
        if (communicator.world().rank == 2) communicator.abort(6);
        communicator.barrier();
      },
      ErrorKind::kMachine);
  EXPECT_EQ(message, "rank 2 aborted the job");
}

TEST(Threads, CallsThatDoNotFitAreNamed) {
  const std::string kinds = message_of(
      2,
      [](Communicator& communicator) {
        at::Tensor values = at::zeros({2});
        if (communicator.world().rank == 0) communicator.sum(values);
        communicator.barrier();
      },
      ErrorKind::kInternal);
  EXPECT_EQ(
      kinds,
      "ranks make different calls: rank 0 sum number 1 of 2 x Float, rank 1 barrier number 1");
  const std::string sizes = message_of(
      2,
      [](Communicator& communicator) {
        at::Tensor values = at::zeros({2 + communicator.world().rank});
        communicator.sum(values);
      },
      ErrorKind::kInternal);
  EXPECT_EQ(sizes,
            "ranks make different calls: rank 0 sum number 1 of 2 x Float, rank 1 sum number 1 of "
            "3 x Float");
}

TEST(Threads, RanksAreDealtToNodesInBlocks) {
  run_as_threads(
      5,
      [](Communicator& communicator) {
        const World& world = communicator.world();
        EXPECT_EQ(world.node_of, (std::vector<int>{0, 0, 0, 1, 1}));
        EXPECT_EQ(world.hosts,
                  (std::vector<std::string>{"node0", "node0", "node0", "node1", "node1"}));
        EXPECT_EQ(world.local_ranks, world.node == 0 ? 3 : 2);
        EXPECT_EQ(world.local_rank, world.node == 0 ? world.rank : world.rank - 3);
      },
      2);
}

}  // namespace
}  // namespace rankwise
