// y = x Wᵀ and its gradient in the type in which the weight is held, float32 in and out. The one
// place that chooses between the math libraries behind LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

namespace rankwise {

// x [T, in] float32, weight [out, in] float32 or bfloat16, bias [out] float32 or undefined → [T,
// out] float32. A bfloat16 weight: x is rounded to bfloat16, sums are float32.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// grad [T, out] float32 → grad · W, [T, in] float32.
at::Tensor product_backward(const at::Tensor& grad, const at::Tensor& weight);

}  // namespace rankwise
