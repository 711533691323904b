// y = x Wᵀ and its gradient in the type in which the weight is held, float32 in and out. The one
// place that chooses between the math libraries behind LibTorch.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "peft/hub/dtype.h"

namespace rankwise {

// x [T, in] float32, weight [out, in] float32 or bfloat16, bias [out] float32 or undefined → [T,
// out] float32. A bfloat16 weight: x is rounded to bfloat16, sums are float32.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// grad [T, out] float32 → grad · W, [T, in] float32.
at::Tensor product_backward(const at::Tensor& grad, const at::Tensor& weight);

// A weight that stays in GGUF's blocks (--base_dtype keep).
struct BlockMatrix {
  Dtype dtype = Dtype::kFloat32;
  at::Tensor bytes;  // [out, bytes of a row] uint8, contiguous; undefined: there is none
  int64_t in = 0;
};
at::Tensor unpacked(const BlockMatrix& weight);                                // [out, in] float32
at::Tensor unpacked_rows(const BlockMatrix& weight, const at::Tensor& index);  // [N] → [N, in]

// The same with such a weight: a few rows at a time are unpacked and multiplied as float32, so that
// the whole matrix is never held unpacked.
at::Tensor product(const at::Tensor& x, const BlockMatrix& weight, const at::Tensor& bias);
at::Tensor product_backward(const at::Tensor& grad, const BlockMatrix& weight);

// A weight as the node holds it: as numbers, or in blocks.
struct FrozenWeight {
  FrozenWeight(at::Tensor held = {}, BlockMatrix kept = {})
      : numbers(std::move(held)), blocks(std::move(kept)) {}
  bool in_blocks() const { return blocks.bytes.defined(); }
  bool shape_only() const { return numbers.is_meta() && !in_blocks(); }  // nothing was loaded
  at::Tensor unpacked() const;                                           // [out, in] float32

  at::Tensor numbers;  // [out, in]; of blocks: the shape alone, on LibTorch's meta device
  BlockMatrix blocks;
};
at::Tensor product(const at::Tensor& x, const FrozenWeight& weight, const at::Tensor& bias);
at::Tensor product_backward(const at::Tensor& grad, const FrozenWeight& weight);

}  // namespace rankwise
