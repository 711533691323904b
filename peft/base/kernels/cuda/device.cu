// The CUDA runtime of these kernels: linked statically, it shares the device's context with
// LibTorch's.
#include "peft/base/kernels/cuda/device.h"
#include "peft/base/kernels/cuda/launch.h"

namespace rankwise::kernels {

std::string cuda_kernels_problem() {
  int devices = 0;
  const cudaError_t result = cudaGetDeviceCount(&devices);
  if (result != cudaSuccess) return cudaGetErrorString(result);
  return devices == 0 ? "no CUDA device is visible" : "";
}

std::string cuda_device_kind(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for the device's name");
  return properties.name;
}

bool cuda_has_bfloat16() {
  int device = 0, generation = 0;
  check(cudaGetDevice(&device), "asking for the device");
  check(cudaDeviceGetAttribute(&generation, cudaDevAttrComputeCapabilityMajor, device),
        "asking for the device's generation");
  return generation >= 8;
}

void start_cuda_runtime(int device) { check(cudaSetDevice(device), "choosing the device"); }

}  // namespace rankwise::kernels
