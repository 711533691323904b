// float32 through LibTorch's linear; bfloat16 natively where the processor can, else as rounded
// float32.
#include "peft/base/ops/product.h"

#include <ATen/ATen.h>

#include "peft/base/kernels/few_rows.h"

namespace rankwise {
namespace {

// Whether this processor multiplies bfloat16 itself; if not, the rounded numbers are multiplied as
// float32, which gives the same products and is much faster than LibTorch's fallback.
bool native_bfloat16(const at::Tensor& tensor) {
  static const bool native = __builtin_cpu_supports("avx512bf16");
  return native || tensor.is_cuda();
}

at::Tensor rounded(const at::Tensor& x) { return x.to(at::kBFloat16).to(at::kFloat); }

// The product of matrices of half the width, which only GPUs can leave as the float32 it is.
at::Tensor in_float(const at::Tensor& a, const at::Tensor& b) {
  return a.is_cuda() ? at::mm(a, b, at::kFloat) : at::mm(a, b).to(at::kFloat);
}

// Whether the time of the product is that of reading the weight: steps of generation.
bool few_rows(const at::Tensor& x, const at::Tensor& weight) {
  return x.size(0) < kernels::kFewRows && x.is_cpu() && weight.is_contiguous();
}

// A weight of numbers as one whose rows are to be unpacked.
BlockMatrix as_blocks(const at::Tensor& weight) {
  const Dtype dtype = weight.scalar_type() == at::kFloat  ? Dtype::kFloat32
                      : weight.scalar_type() == at::kHalf ? Dtype::kFloat16
                                                          : Dtype::kBFloat16;
  return {dtype, weight.view(at::kByte), weight.size(1)};
}

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool is_float = weight.scalar_type() == at::kFloat;
  if (few_rows(x, weight) && (is_float || !native_bfloat16(x)))
    return product(is_float ? x : rounded(x), as_blocks(weight), bias);
  if (is_float) return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  if (!native_bfloat16(x)) return product(rounded(x), weight.to(at::kFloat), bias);
  at::Tensor y = in_float(x.to(weight.scalar_type()), weight.t());
  return bias.defined() ? y.add_(bias) : y;
}

at::Tensor product_backward(const at::Tensor& grad, const at::Tensor& weight) {
  if (weight.scalar_type() == at::kFloat) return at::mm(grad, weight);
  if (!native_bfloat16(grad)) return at::mm(rounded(grad), weight.to(at::kFloat));
  return in_float(grad.to(weight.scalar_type()), weight);
}

}  // namespace rankwise
