// A low-rank pair beside a frozen linear, with or without DoRA's magnitudes: one node of the
// autograd graph.
#pragma once

#include <ATen/core/Tensor.h>

#include "peft/base/layers.h"

namespace rankwise {

struct LoraAdapter : LinearAdapter {
  at::Tensor a, b;       // [R, in], [out, R]; trained
  at::Tensor b_bias;     // [out], trained; undefined: none
  at::Tensor magnitude;  // [out], trained; undefined: no DoRA
  at::Tensor squares;    // [out] of the frozen weight's rows, for DoRA
  // What PiSSA and OLoRA take out of the frozen weight, which is shared and stays as it is: the
  // pair as it began. Undefined: nothing.
  at::Tensor taken_a, taken_b;
  double scale = 1, dropout = 0;
  const LinearAdapter* beneath = nullptr;  // what acts here too, in place of the frozen product
  uint32_t site = 0;

  // LoRA: W x + bias + s · (B A x̃ + b_bias), x̃ = dropout(x). Of a W that was taken from, W − s · B₀
  // A₀. DoRA: W x + bias + (g − 1) · W x̃ + g · s · B A x̃, g = magnitude / ‖W + s · B A‖ of each
  // row, the norm being a constant for the gradient (Liu et al., 2024; peft's tuners/lora/dora.py).
  at::Tensor forward(const Linear& linear, const at::Tensor& x, const Pass& pass) const override;

  // Starts PiSSA or OLoRA: the pair is the largest part of the weight, by its singular values
  // (Meng et al., 2024) or as its QR decomposition has them (Büyükakyüz, 2024), and taken out of
  // it.
  void take_principal_part(const Linear& linear, int64_t rank);
  void take_first_columns(const Linear& linear, int64_t rank);
  // Starts DoRA: magnitudes that change nothing.
  void add_magnitude(const Linear& linear);
  // The weight that does what both do together, float32 [out, in].
  at::Tensor merged(const Linear& linear) const;

 private:
  void take(at::Tensor new_a, at::Tensor new_b);
  at::Tensor row_norms(const Linear& linear) const;  // [out] of W + s · B A
};

}  // namespace rankwise
