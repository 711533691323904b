// The NCCL backend: opened everywhere it is built; the contract where a GPU is.
#include "distributed/comm/nccl.h"

#include <ATen/Context.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "contract.h"
#include "distributed/comm/versions.h"
#include "distributed/core/error.h"

namespace rankwise {
namespace {

// What is missing here besides a device; every function that is used was found where this is empty.
std::string missing() {
  const std::string problem = nccl_unavailable();
  return problem == "no CUDA device is visible" ? "" : problem;
}

TEST(Nccl, LibrariesHaveEveryFunctionThatIsUsed) {
  if (!missing().empty()) GTEST_SKIP() << missing();
  EXPECT_EQ(nccl_version().substr(0, 2), "2.");
}

TEST(Nccl, WithoutADeviceItSaysSo) {
  const std::string problem = nccl_unavailable();
  if (problem.empty()) GTEST_SKIP() << cuda_devices() << " devices are here";
  EXPECT_EQ(cuda_devices(), 0);
  try {
    nccl_communicator(single_rank(), 0);
    FAIL() << "no Error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCommunication);
    EXPECT_EQ(error.what(), problem);
  }
}

TEST(Nccl, TheContractHoldsOnOneGpu) {
  if (!nccl_unavailable().empty()) GTEST_SKIP() << nccl_unavailable();
  ASSERT_TRUE(dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) << dlerror();
  at::globalContext().lazyInitDevice(at::kCUDA);
  const auto communicator = nccl_communicator(single_rank(), 0);
  for (const ContractCase& contract_case : contract_cases()) {
    SCOPED_TRACE(contract_case.name);
    contract_case.run(*communicator, at::Device(at::kCUDA, 0));
  }
}

}  // namespace
}  // namespace rankwise
