// LibTorch's side of a GPU, whether or not this build has kernels for one.
#include "peft/base/kernels/cuda/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include "distributed/core/error.h"

namespace rankwise::kernels {

std::string cuda_kernels_problem();  // of the runtime or the build (device.cu, absent.cpp)
void start_cuda_runtime(int device);

void cuda_failed(const char* doing, const char* what) {  // here, since nvcc cannot compile {fmt}
  throw machine_error("the GPU failed ({}): {}", doing, what);
}

std::string cuda_problem() {
  static const std::string problem = [] {
    if (std::string kernels = cuda_kernels_problem(); !kernels.empty()) return kernels;
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr)
      return std::string("LibTorch's CUDA library cannot be opened: ") + dlerror();
    return std::string();
  }();
  return problem;
}

void use_cuda_device(int device) {
  if (const std::string problem = cuda_problem(); !problem.empty())
    throw machine_error("no GPU can be used: {}", problem);
  start_cuda_runtime(device);
  // LibTorch's deterministic mode is left off: it wants CUBLAS_WORKSPACE_CONFIG to be set, which
  // LibTorch 2.11 then parses at every product (40 % of an update of bert-base). Products are the
  // same each time without it, since LibTorch gives cuBLAS its workspace; and what is added here by
  // index is added to places of its own.
  at::globalContext().lazyInitDevice(at::kCUDA);
}

}  // namespace rankwise::kernels
