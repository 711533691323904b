// What every backend asks of the tensors it is given, so that all backends refuse the same things.
// A violation is a bug of the caller: Error(kInternal), before anything is sent.
#pragma once

#include <ATen/core/Tensor.h>

namespace rankwise {

void check_contiguous(const at::Tensor& values, const char* collective);
void check_on_cpu(const at::Tensor& values, const char* collective);
void check_summable(const at::Tensor& values);  // contiguous; int64, int32, float or double
void check_source(int from, int ranks);

// Where all_gather puts its result: [..] → [ranks, ..], same type and device, not initialised.
at::Tensor empty_gathered(const at::Tensor& mine, int ranks);

}  // namespace rankwise
