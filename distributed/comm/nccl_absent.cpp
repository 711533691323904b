// In place of nccl.cpp where CUDA's or NCCL's headers were not found.
#include "distributed/comm/nccl.h"
#include "distributed/comm/versions.h"
#include "distributed/core/error.h"

namespace rankwise {

int cuda_devices() { return 0; }

std::string cuda_device_name(int) { return ""; }

std::string nccl_unavailable() {
  return "this build has no NCCL backend (CMake found no nccl.h or no cuda_runtime_api.h)";
}

std::string nccl_version() { return ""; }

std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator>, int) {
  throw communication_error("{}", nccl_unavailable());
}

}  // namespace rankwise
