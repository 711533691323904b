// The road through a stack of layers, narrowed at its end.
#include "peft/base/selection.h"

#include <numeric>

#include "peft/base/ops/ops.h"

namespace rankwise {
namespace {

// Whether it pays to compute a last layer for `seen` of `tokens` only.
bool worth_narrowing(size_t seen, int64_t tokens) {
  return static_cast<int64_t>(seen) * 8 < tokens * 7;
}

}  // namespace

StackOutput run_layers(const Pass& pass, at::Tensor hidden, const std::vector<int64_t>& seen,
                       size_t layers, const LayerOfStack& run) {
  const Selection all(pass), chosen(pass, seen);
  for (size_t i = 0; i + 1 < layers; ++i) {
    hidden = checkpointed(pass, {hidden},
                          [run, i, all](const auto& inputs) { return run(i, inputs[0], all); });
  }
  const bool narrowed = !pass.options().whole_rows && worth_narrowing(seen.size(), hidden.size(0));
  hidden = run(layers - 1, hidden, narrowed ? chosen : all);
  return {narrowed ? hidden : chosen(hidden), chosen.pass};
}

std::vector<int64_t> all_tokens(const Pass& pass) {
  std::vector<int64_t> index(static_cast<size_t>(pass.places().bounds.back()));
  std::iota(index.begin(), index.end(), 0);
  return index;
}

std::vector<int64_t> own_tokens(const Pass& pass) {
  const std::vector<int64_t>& bounds = pass.places().bounds;
  std::vector<int64_t> index;
  for (size_t s = 0; s + 1 < bounds.size(); ++s) {
    for (int64_t at = bounds[s] + pass.text().virtual_tokens; at < bounds[s + 1]; ++at)
      index.push_back(at);
  }
  return index;
}

std::vector<int64_t> own_bounds(const PackedText& text) {
  std::vector<int64_t> bounds = text.bounds;
  for (size_t s = 0; s < bounds.size(); ++s)
    bounds[s] -= static_cast<int64_t>(s) * text.virtual_tokens;
  return bounds;
}

}  // namespace rankwise
