// libnccl.so.2 for tests; see fake_nccl.h. Every call is "in progress" for a few polls, as a
// nonblocking one may be.
#include "fake_nccl.h"

#include <nccl.h>

namespace {
Fault fault = Fault::kNone;
int communicators = 0, aborts = 0, calls = 0, polls = 0;
}  // namespace

extern "C" {
void fake_nccl_set_fault(Fault wanted) { fault = wanted, calls = 0, aborts = 0; }
Fault fake_nccl_fault() { return fault; }
int fake_nccl_communicators() { return communicators; }
int fake_nccl_aborts() { return aborts; }

ncclResult_t ncclGetVersion(int* version) { return *version = 22809, ncclSuccess; }
ncclResult_t ncclGetUniqueId(ncclUniqueId* id) { return *id = {}, ncclSuccess; }
ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int, ncclUniqueId, int,
                                    ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;
  *communicator = reinterpret_cast<ncclComm_t>(&communicators);
  ++communicators;
  return ncclInProgress;
}
ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* state) {
  *state = ++polls % 5 == 0 ? ncclSuccess : ncclInProgress;
  if (fault == Fault::kStartHangs) *state = ncclInProgress;
  if (fault == Fault::kRankIsLost && calls > 0) *state = ncclRemoteError;
  return ncclSuccess;
}
ncclResult_t ncclCommDestroy(ncclComm_t) { return --communicators, ncclSuccess; }
ncclResult_t ncclCommAbort(ncclComm_t) { return --communicators, ++aborts, ncclSuccess; }
const char* ncclGetErrorString(ncclResult_t) { return "remote error"; }
const char* ncclGetLastError(ncclComm_t) { return "socket closed"; }
ncclResult_t ncclAllReduce(const void*, void*, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                           cudaStream_t) {
  return ++calls, ncclInProgress;
}
ncclResult_t ncclBroadcast(const void*, void*, size_t, ncclDataType_t, int, ncclComm_t,
                           cudaStream_t) {
  return ++calls, ncclInProgress;
}
ncclResult_t ncclAllGather(const void*, void*, size_t, ncclDataType_t, ncclComm_t, cudaStream_t) {
  return ++calls, ncclInProgress;
}
}
