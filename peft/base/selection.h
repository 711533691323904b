// Those tokens of a pass that the rest of a model computes: a last layer makes only what the head
// looks at.
#pragma once

#include <functional>
#include <vector>

#include "peft/base/ops/sent_to.h"
#include "peft/base/pass.h"

namespace rankwise {

struct Selection {
  Pass pass;         // of these tokens
  at::Tensor index;  // [N] into [T], ascending; undefined: all of them

  explicit Selection(const Pass& all) : pass(all) {}
  Selection(const Pass& all, const std::vector<int64_t>& seen)
      : pass(all.at(seen)), index(sent_to(all.device(), at::tensor(seen))) {}

  // x [T, ..] → [N, ..]
  at::Tensor operator()(const at::Tensor& x) const {
    return index.defined() ? x.index_select(0, index) : x;
  }
};

// Layer `layer` for the tokens of `queries`, which see all of `hidden` [T, C] → [N, C].
using LayerOfStack =
    std::function<at::Tensor(size_t layer, const at::Tensor& hidden, const Selection& queries)>;

// Hidden states behind the last of a stack of layers, of the tokens `seen` only: the last layer
// computes no others where that pays. Layers before it are checkpointed as the pass asks.
struct StackOutput {
  at::Tensor hidden;  // [N, C]
  Pass pass;          // of these tokens
};
StackOutput run_layers(const Pass& pass, at::Tensor hidden, const std::vector<int64_t>& seen,
                       size_t layers, const LayerOfStack& run);

// Indices of all real tokens: what FEATURE_EXTRACTION looks at.
std::vector<int64_t> all_tokens(const Pass& pass);

// Indices of the tokens of the text's rows, without the virtual ones before each: what QUESTION_ANS
// looks at. Row s of them is [own_bounds[s], own_bounds[s + 1]).
std::vector<int64_t> own_tokens(const Pass& pass);
std::vector<int64_t> own_bounds(const PackedText& text);

}  // namespace rankwise
