// A low-rank pair beside a frozen linear, with or without DoRA's magnitudes: one node of the
// autograd graph.
#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/layers.h"

namespace rankwise {

struct LoraAdapter : LinearAdapter {
  at::Tensor a, b;       // [R, in], [out, R]; trained
  at::Tensor magnitude;  // [out], trained; undefined: no DoRA
  at::Tensor squares;    // [out] of the frozen weight's rows, for DoRA
  double scale = 1, dropout = 0;
  uint32_t site = 0;

  // LoRA: W x + bias + s · B A x̃, x̃ = dropout(x).
  // DoRA: W x + bias + (g − 1) · W x̃ + g · s · B A x̃, g = magnitude / ‖W + s · B A‖ of each row,
  // the norm being a constant for the gradient (Liu et al., 2024; peft's tuners/lora/dora.py).
  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const override;

  // Starts DoRA: magnitudes that change nothing.
  void add_magnitude(const Linear& linear);
  // The weight that does what both do together, float32 [out, in].
  at::Tensor merged(const Linear& linear) const;

 private:
  at::Tensor row_norms(const Linear& linear) const;  // [out] of W + s · B A
};

}  // namespace rankwise
