// Those tokens of a pass that the rest of a model computes: a last layer makes only what the head
// looks at.
#pragma once

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "peft/base/pass.h"

namespace rankwise {

struct Selection {
  Pass pass;         // of these tokens
  at::Tensor index;  // [N] into [T], ascending; undefined: all of them

  explicit Selection(const Pass& all) : pass(all) {}
  Selection(const Pass& all, const std::vector<int64_t>& seen)
      : pass(all.at(seen)), index(at::tensor(seen)) {}

  // x [T, ..] → [N, ..]
  at::Tensor operator()(const at::Tensor& x) const {
    return index.defined() ? x.index_select(0, index) : x;
  }
};

}  // namespace rankwise
