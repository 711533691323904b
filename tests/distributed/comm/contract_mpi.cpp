// The contract over MPI: a program of its own, started by mpirun; every rank runs the whole list.
//   contract_mpi [chunk bytes]   the contract; a small chunk makes every collective take several
//   MPI calls contract_mpi hang            rank 1 stays away: rank 0 must name what it waits for
//   and end the job with code 5
#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>

#include "contract.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

Communicator* communicator = nullptr;

TEST(Mpi, TheContractHolds) {
  for (const ContractCase& contract_case : contract_cases()) {
    SCOPED_TRACE(contract_case.name);
    contract_case.run(*communicator, at::kCPU);
  }
}

TEST(Mpi, IsStartedOnlyOnce) {
  EXPECT_STREQ(communicator->backend(), "mpi");
  EXPECT_THROW(mpi_communicator(), Error);
}

// Ends the job with code 5 where all is as it should be, else with 1.
void hang() {
  if (communicator->world().rank == 1) {
    for (;;) pause();
  }
  communicator->limit_waits(0.3);
  communicator->enter_phase("waiting");
  const std::string host = communicator->world().hosts[0],
                    waiter = fmt::format("rank 0 of 2 on host {} waited 0.3", host),
                    missing = fmt::format(
                        " s in barrier number 1 (phase: waiting); missing: rank 1 on host {} has "
                        "done nothing for 0 s (phase: start)",
                        host);
  std::string first;
  for (int attempt = 0; attempt < 2; ++attempt) {  // a later call repeats the reason
    std::string message = "no Error was thrown";
    try {
      communicator->barrier();
    } catch (const Error& error) {
      message = error.what();
    }
    std::cerr << message << std::endl;
    if (!message.starts_with(waiter) || !message.ends_with(missing)) communicator->abort(1);
    if (attempt == 1 && message != first) communicator->abort(1);
    first = message;
  }
  communicator->abort(5);
}

// Rank 0 prints everything, other ranks only what fails.
class FailurePrinter : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::cerr << "rank " << communicator->world().rank << ": " << result.file_name() << ":"
              << result.line_number() << ": " << result.message() << std::endl;
  }
};

}  // namespace
}  // namespace rankwise

int main(int argc, char** argv) {
  using namespace rankwise;
  testing::InitGoogleTest(&argc, argv);
  const std::string argument = argc > 1 ? argv[1] : "1073741824";
  const auto mpi = mpi_communicator(argument == "hang" ? 1 << 20 : std::stoll(argument));
  communicator = mpi.get();
  communicator->limit_waits(60);
  if (argument == "hang") hang();
  if (communicator->world().rank != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter);
  }
  return RUN_ALL_TESTS();
}
