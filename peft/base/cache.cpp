// Slabs of a fixed capacity a sequence; rows behind a sequence's length are never read.
#include "peft/base/cache.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

namespace rankwise {

void KeyValueCache::append(size_t slot, const at::Tensor& keys, const at::Tensor& values,
                           const std::vector<int64_t>& bounds) {
  if (slot >= layers_.size()) layers_.resize(slot + 1);
  Layer& layer = layers_[slot];
  if (!layer.keys.defined()) {
    layer.keys = at::empty({sequences_ * capacity_, keys.size(1)}, keys.options());
    layer.values = at::empty({sequences_ * capacity_, values.size(1)}, values.options());
    layer.lengths.assign(static_cast<size_t>(sequences_), 0);
  }
  for (int64_t s = 0; s < sequences_; ++s) {
    const auto i = static_cast<size_t>(s);
    const int64_t begin = bounds[i], count = bounds[i + 1] - begin;
    const int64_t to = s * capacity_ + layer.lengths[i];
    layer.keys.narrow(0, to, count).copy_(keys.narrow(0, begin, count));
    layer.values.narrow(0, to, count).copy_(values.narrow(0, begin, count));
    layer.lengths[i] += count;
  }
}

int64_t KeyValueCache::length(int64_t sequence) const {
  return holds(0) ? layers_[0].lengths[static_cast<size_t>(sequence)] : 0;
}

void KeyValueCache::select(const std::vector<int64_t>& from) {
  const auto kept = static_cast<int64_t>(from.size());
  for (Layer& layer : layers_) {
    if (!layer.keys.defined()) continue;
    const Layer old = layer;
    layer.lengths.clear();
    for (at::Tensor* rows : {&layer.keys, &layer.values})
      *rows = at::empty({kept * capacity_, rows->size(1)}, rows->options());
    for (int64_t s = 0; s < kept; ++s) {
      const int64_t source = from[static_cast<size_t>(s)];
      const int64_t count = old.lengths[static_cast<size_t>(source)];
      layer.lengths.push_back(count);
      for (const auto& [to, rows] :
           {std::pair{&layer.keys, &old.keys}, {&layer.values, &old.values}})
        to->narrow(0, s * capacity_, count).copy_(rows->narrow(0, source * capacity_, count));
    }
  }
  sequences_ = kept;
}

}  // namespace rankwise
