// For the .cu files of this folder.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace rankwise::kernels {

constexpr int kThreads = 128;  // of a block; one block makes one row

[[noreturn]] void cuda_failed(const char* doing, const char* what);  // Errors: kMachine

inline void check(cudaError_t result, const char* doing) {
  if (result != cudaSuccess) cuda_failed(doing, cudaGetErrorString(result));
}

inline void check_launch(const char* kernel) { check(cudaGetLastError(), kernel); }

// The sum (or largest) of a number of each thread, the same for all. Always added in one order.
struct Plus {
  static constexpr float kNothing = 0;
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Largest {
  static constexpr float kNothing = -INFINITY;
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
template <class Combine>
__device__ float over_block(float value, Combine combine) {
  __shared__ float of_warp[kThreads / 32];
  for (int offset = 16; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(0xFFFFFFFFu, value, offset));
  __syncthreads();  // of_warp may still be read from the last time
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  float all = Combine::kNothing;
  for (int warp = 0; warp < kThreads / 32; ++warp) all = combine(all, of_warp[warp]);
  return all;
}

}  // namespace rankwise::kernels
