// The NCCL backend's start, waits and failures, on a pretended device (fake_nccl.h). Its numbers
// need a real one: nccl_test.cpp.
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "contract.h"
#include "distributed/comm/nccl.h"
#include "distributed/core/error.h"
#include "fake_nccl.h"

namespace rankwise {
namespace {

std::unique_ptr<Communicator> start(Fault fault, int device = 0) {
  fake_nccl_set_fault(fault);
  auto host = single_rank();
  host->limit_waits(0.2);
  auto communicator = nccl_communicator(std::move(host), device);
  communicator->enter_phase("training");
  return communicator;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

void expect_all_released(int aborts) {
  EXPECT_EQ(fake_nccl_communicators(), 0);
  EXPECT_EQ(fake_cuda_resources(), 0);
  EXPECT_EQ(fake_nccl_aborts(), aborts);
}

TEST(NcclFaults, WaitsForCallsInProgressAndReleasesAll) {
  {
    const auto communicator = start(Fault::kNone);
    EXPECT_STREQ(communicator->backend(), "nccl");
    for (int i = 0; i < 3; ++i) communicator->barrier();
    EXPECT_EQ(fake_nccl_communicators(), 1);
  }
  expect_all_released(0);
}

TEST(NcclFaults, TensorsOnTheCpuGoThroughTheDevice) {
  {
    const auto communicator = start(Fault::kNone);
    size_t before = fake_cuda_copied_bytes();
    at::Tensor values = at::full({2}, 5, at::kLong);
    communicator->sum(values);
    EXPECT_TRUE(at::equal(values, at::full({2}, 5, at::kLong)));
    EXPECT_EQ(fake_cuda_copied_bytes() - before, 2 * 16u);
    before = fake_cuda_copied_bytes();
    EXPECT_TRUE(at::equal(communicator->all_gather(values), values.unsqueeze(0)));
    EXPECT_EQ(fake_cuda_copied_bytes() - before, 2 * 16u);
    for (const ContractCase& contract_case : contract_cases()) {
      SCOPED_TRACE(contract_case.name);
      contract_case.run(*communicator, at::kCPU);
    }
  }
  expect_all_released(0);
}

TEST(NcclFaults, AStartThatHangsEnds) {
  const std::string message = message_of([] { start(Fault::kStartHangs); });
  EXPECT_NE(message.find("waited 0.2 s in ncclCommInitRankConfig number 1 (phase: starting NCCL)"),
            std::string::npos)
      << message;
  expect_all_released(1);
}

TEST(NcclFaults, ADeviceThatIsNotThereIsNamed) {
  const std::string message = message_of([] { start(Fault::kNone, 3); });
  EXPECT_NE(message.find("cudaSetDevice"), std::string::npos) << message;
  EXPECT_NE(message.find("device 3: device error"), std::string::npos) << message;
  expect_all_released(0);
}

// A call that fails says why, is aborted, and later calls repeat the reason.
void expect_failure(Fault fault, const std::string& part) {
  const auto communicator = start(fault);
  const std::string message = message_of([&] { communicator->barrier(); });
  EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_NE(message.find("phase: training"), std::string::npos) << message;
  expect_all_released(1);
  EXPECT_EQ(message_of([&] { communicator->barrier(); }), message);
}

TEST(NcclFaults, ACallThatHangsEnds) {
  expect_failure(Fault::kCallHangs, "waited 0.2 s in barrier number 2");
}
TEST(NcclFaults, ALostRankIsFound) {
  expect_failure(Fault::kRankIsLost, "remote error (socket closed");
}
TEST(NcclFaults, AFailingCopyIsFound) {
  expect_failure(Fault::kCopyFails, "device 0: device error");
}
TEST(NcclFaults, AFailingDeviceIsFound) {
  expect_failure(Fault::kDeviceFails, "device 0: device error");
}

}  // namespace
}  // namespace rankwise
