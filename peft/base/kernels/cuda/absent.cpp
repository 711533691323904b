// In place of this folder's kernels where CMake found no CUDA compiler.
#include "distributed/core/error.h"
#include "peft/base/kernels/cuda/attention.h"
#include "peft/base/kernels/cuda/device.h"
#include "peft/base/kernels/rows.h"

namespace rankwise::kernels {

const RowKernels kCudaRows = {};

std::string cuda_kernels_problem() {
  return "this build has no kernels for GPUs (CMake found no CUDA compiler)";
}

std::string cuda_device_kind(int) { return ""; }

bool cuda_has_bfloat16() { return false; }

void start_cuda_runtime(int) { throw internal_error("{}", cuda_kernels_problem()); }

void gather_heads(const HeadRows&, const float*, float*) {}
void scatter_heads(const HeadRows&, const float*, float*) {}
void softmax_scores(const Scores&, float*, float*) {}
void score_gradients(const Scores&, const float*, float*, float*) {}

}  // namespace rankwise::kernels
