// What this process computes on, as far as it decides about bits.
#pragma once

#include <string>

namespace rankwise {

// "Intel(R) Xeon(R) Processor (GenuineIntel 6/143, AVX512)": the last word is the kind of kernels
// that LibTorch chose, which ATEN_CPU_CAPABILITY may lower.
std::string processor_kind();

}  // namespace rankwise
