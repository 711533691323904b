// Who speaks when a job fails, and what it ends with.
#include "launcher/failure.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "distributed/comm/agree.h"
#include "distributed/core/current_error.h"

namespace rankwise {
namespace {

Surroundings surroundings_of(int rank) {
  Surroundings surroundings;
  surroundings.rank = rank;
  return surroundings;
}

TEST(Failure, TextHasMessageAndHint) {
  EXPECT_EQ(failure_text(input_error("a.tsv:3: unknown label 'x'")),
            "error: a.tsv:3: unknown label 'x'\n");
  EXPECT_EQ(failure_text(Error(ErrorKind::kUsage, "unknown verb 'x'", "did you mean y?")),
            "error: unknown verb 'x'\nhint: did you mean y?\n");
  EXPECT_NE(failure_text(internal_error("odd")).find("\nhint: this is a bug of Rankwise"),
            std::string::npos);
}

TEST(Failure, BeforeThereAreRanksRankZeroSpeaks) {
  std::ostringstream zero, one;
  EXPECT_EQ(report_failure(usage_error("no"), surroundings_of(0), nullptr, zero), 2);
  EXPECT_EQ(report_failure(usage_error("no"), surroundings_of(1), nullptr, one), 2);
  EXPECT_EQ(zero.str(), "error: no\n");
  EXPECT_EQ(one.str(), "");
}

TEST(Failure, WhatRanksAgreedOnIsToldOnce) {
  run_as_threads(3, [](Communicator& communicator) {
    const int rank = communicator.world().rank;
    std::ostringstream err;
    int code = 0;
    try {
      together(communicator, "reading", [&] {
        if (rank == 1) throw model_error("bad header");
      });
    } catch (const Error& error) {
      EXPECT_TRUE(error.agreed());
      code = report_failure(error, surroundings_of(rank), &communicator, err);
    }
    EXPECT_EQ(code, 4);
    const std::string text = err.str();
    EXPECT_EQ(text.find("error: bad header (rank 1 on host ") == 0, rank == 0) << text;
    EXPECT_EQ(text.empty(), rank != 0);
  });
}

// A world of two ranks whose abort only tells that it was called.
struct Aborted {
  int exit_code;
};
class TwoRanks : public Communicator {
 public:
  explicit TwoRanks(int rank) {
    world_.rank = rank, world_.ranks = 2;
    world_.hosts = {"alpha", "beta"};
  }
  const World& world() const override { return world_; }
  const char* backend() const override { return "none"; }
  void sum(at::Tensor&) override {}
  void broadcast(at::Tensor&, int) override {}
  at::Tensor all_gather(const at::Tensor& mine) override { return mine; }
  void barrier() override {}
  std::unique_ptr<Communicator> split(int) override { return nullptr; }
  [[noreturn]] void abort(int exit_code) override { throw Aborted{exit_code}; }

 private:
  World world_;
};

TEST(Failure, WhatOneRankAloneKnowsEndsTheJob) {
  for (const int rank : {0, 1}) {
    TwoRanks communicator(rank);
    std::ostringstream err;
    int code = 0;
    try {
      report_failure(input_error("a.tsv: gone"), surroundings_of(rank), &communicator, err);
    } catch (const Aborted& aborted) {
      code = aborted.exit_code;
    }
    EXPECT_EQ(code, 3);
    EXPECT_EQ(err.str(), rank == 0 ? "error: a.tsv: gone (rank 0 on host alpha)\n"
                                   : "error: a.tsv: gone (rank 1 on host beta)\n");
  }
}

TEST(Failure, ResultsThatDoNotGetThroughAreAnError) {
  const auto communicator = single_rank();
  std::ofstream full("/dev/full");
  full << "results";
  try {
    check_written(*communicator, full);
    FAIL() << "written to a full device";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 6);
  }
}

template <class Exception>
Error as_error(const Exception& exception) {
  try {
    throw exception;
  } catch (...) {
    return current_error("testing");
  }
}

TEST(CurrentError, KnowsWhatItIs) {
  EXPECT_EQ(as_error(std::bad_alloc()).exit_code(), 6);
  EXPECT_EQ(as_error(std::runtime_error("x")).exit_code(), 70);
  EXPECT_STREQ(as_error(std::runtime_error("x")).what(), "x (while: testing)");
  EXPECT_EQ(as_error(7).exit_code(), 70);
  EXPECT_EQ(as_error(input_error("row 3")).exit_code(), 3);
}

TEST(CurrentError, DropsLibTorchsStackTrace) {
  const c10::Error error({__func__, __FILE__, __LINE__}, "shapes differ");
  EXPECT_EQ(as_error(error).exit_code(), 70);
  EXPECT_STREQ(as_error(error).what(), "shapes differ (while: testing)");
  const c10::Error memory({__func__, __FILE__, __LINE__},
                          "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes");
  EXPECT_EQ(as_error(memory).exit_code(), 6);
}

}  // namespace
}  // namespace rankwise
