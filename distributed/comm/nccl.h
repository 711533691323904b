// The NCCL backend: collectives of tensors on a CUDA device; tensors on the CPU are copied there
// and back.
#pragma once

#include <memory>
#include <string>

#include "distributed/comm/communicator.h"

namespace rankwise {

// CUDA devices that this process sees; 0 where the build, the libraries or the driver are missing.
int cuda_devices();

// What tells a device of this process from others of its host, however each process numbers them:
// its PCI bus id; "" where the driver does not say.
std::string cuda_device_name(int device);

// Why nccl_communicator cannot work in this process: not built in, a library or a symbol not found,
// no device. Empty: nothing speaks against it.
std::string nccl_unavailable();

// Collective over `host`, which it takes over (MPI or threads). One device a rank, no device twice.
// Waits are limited as all waits are. CUDA work on the legacy default stream is waited for, and a
// call returns when its result is there. Errors, on all ranks: kCommunication.
std::unique_ptr<Communicator> nccl_communicator(std::unique_ptr<Communicator> host, int device);

}  // namespace rankwise
