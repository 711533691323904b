// What tests of the differentiable functions share.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "peft/base/unit.h"

namespace rankwise {

// Sequences of 5, 1, 30 and 70 tokens, and fillers to 112: within a block of the kernel, and beyond
// one.
inline Unit uneven() {
  Unit unit;
  unit.text.bounds = {0, 5, 6, 36, 106};
  unit.rows = {7, 3, 12, 900};
  unit.text.tokens = at::zeros({112}, at::kLong);
  return unit;
}

inline at::Tensor random(at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); }

inline void expect_close(const at::Tensor& want, const at::Tensor& got, const char* what) {
  EXPECT_LT((want - got).abs().max().item<double>(), 2e-5 * (1 + want.abs().max().item<double>()))
      << what;
}

}  // namespace rankwise
