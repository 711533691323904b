// Marks a kernel to be compiled once for each kind of processor; the loader picks the one that fits
// this machine. Helpers called from a kernel must be RANKWISE_INLINE, or they are compiled for the
// oldest processor only.
#pragma once

#if defined(__CUDACC__)  // the same helpers on the device
#define RANKWISE_KERNEL
#define RANKWISE_INLINE __host__ __device__ __forceinline__
#elif defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define RANKWISE_KERNEL \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
// A kernel written for vectors of 64 bytes, to be called only where has_wide_vectors().
#define RANKWISE_WIDE_KERNEL __attribute__((target("arch=x86-64-v4")))
// Its twin for all others.
#define RANKWISE_NARROW_KERNEL __attribute__((target_clones("arch=x86-64-v3", "default")))
#define RANKWISE_HAS_WIDE_KERNELS 1
#else
#define RANKWISE_KERNEL
#define RANKWISE_WIDE_KERNEL
#define RANKWISE_NARROW_KERNEL
#endif
#if !defined(__CUDACC__)
#define RANKWISE_INLINE inline __attribute__((always_inline))

namespace rankwise::kernels {

inline bool has_wide_vectors() {
#ifdef RANKWISE_HAS_WIDE_KERNELS
  static const bool has = __builtin_cpu_supports("x86-64-v4");
  return has;
#else
  return false;
#endif
}

}  // namespace rankwise::kernels
#endif
