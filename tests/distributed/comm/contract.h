// What every backend owes, as one list of cases: run over threads (contract_test.cpp), over MPI
// (contract_mpi.cpp) and, where a GPU is, over NCCL (nccl_test.cpp). A case runs on all ranks;
// expectations are worked out without collectives.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "distributed/comm/communicator.h"

namespace rankwise {

struct ContractCase {
  const char* name;
  void (*run)(Communicator& communicator, at::Device device);
};
const std::vector<ContractCase>& contract_cases();

}  // namespace rankwise
