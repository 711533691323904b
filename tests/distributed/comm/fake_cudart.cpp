// libcudart.so.13 for tests; see fake_nccl.h. One device; a stream is busy for a few queries.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fake_nccl.h"

namespace {
int resources = 0, queries = 0;
size_t copied = 0;
}  // namespace

extern "C" {
int fake_cuda_resources() { return resources; }
size_t fake_cuda_copied_bytes() { return copied; }

cudaError_t cudaGetDeviceCount(int* devices) { return *devices = 1, cudaSuccess; }
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = reinterpret_cast<cudaStream_t>(&resources);
  return ++resources, cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return --resources, cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) {
  if (fake_nccl_fault() == Fault::kDeviceFails) return cudaErrorIllegalAddress;
  if (fake_nccl_fault() == Fault::kCallHangs) return cudaErrorNotReady;
  return ++queries % 4 == 0 ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return ++resources, cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return --resources, cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
  if (fake_nccl_fault() == Fault::kCopyFails) return cudaErrorIllegalAddress;
  if (bytes > 0) std::memcpy(to, from, bytes);
  return copied += bytes, cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* name, int length, int) {
  return std::snprintf(name, length, "0000:01:00.0"), cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t) { return "device error"; }
}
