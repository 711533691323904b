// GPUs as this build can use them: the kernels of this folder, and LibTorch's CUDA library, which
// is opened when it is first needed, so that one binary serves machines with and without GPUs.
#pragma once

#include <string>

namespace rankwise::kernels {

// Why this process cannot compute on GPUs; empty: it can. Opens LibTorch's CUDA library: must be
// called before the first tensor is made.
std::string cuda_problem();

// "NVIDIA H200".
std::string cuda_device_kind(int device);

// Whether this process's GPU has products of bfloat16.
bool cuda_has_bfloat16();

// From now on `device` is the one of this process. The operations that the model is made of give
// the same bits for the same inputs on it. Errors: kMachine.
void use_cuda_device(int device);

}  // namespace rankwise::kernels
