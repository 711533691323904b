// A device and an NCCL that exist only in tests: enough of both libraries for one rank, with faults
// on demand, so that starting, waiting and giving up are tested where no GPU is. Built as
// libcudart.so.13 and libnccl.so.2.
#pragma once

#include <cstddef>

enum class Fault { kNone, kStartHangs, kCallHangs, kRankIsLost, kDeviceFails, kCopyFails };

extern "C" {
void fake_nccl_set_fault(Fault fault);
int fake_nccl_communicators();  // alive
int fake_nccl_aborts();
int fake_cuda_resources();        // streams and allocations alive
size_t fake_cuda_copied_bytes();  // between host and device, both ways
Fault fake_nccl_fault();
}
