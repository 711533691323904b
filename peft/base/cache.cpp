// Slabs of a fixed capacity a sequence; rows behind a sequence's length are never read.
#include "peft/base/cache.h"

#include <ATen/ops/empty.h>

#include <cstring>

namespace rankwise {
namespace {

// Rows [from, from + count) of float32 to row `to` of other rows as wide. Both are contiguous.
void copy_rows(const at::Tensor& source, int64_t from, int64_t count, at::Tensor& target,
               int64_t to) {
  if (!source.is_cpu()) {
    target.narrow(0, to, count).copy_(source.narrow(0, from, count));
    return;
  }
  const int64_t size = source.size(1);
  std::memcpy(target.data_ptr<float>() + to * size, source.const_data_ptr<float>() + from * size,
              static_cast<size_t>(count * size) * sizeof(float));
}

}  // namespace

void KeyValueCache::append(size_t slot, const at::Tensor& new_keys, const at::Tensor& new_values,
                           const std::vector<int64_t>& bounds) {
  const at::Tensor keys = new_keys.contiguous(), values = new_values.contiguous();
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
    copy_rows(keys, begin, count, layer.keys, to);
    copy_rows(values, begin, count, layer.values, to);
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
      copy_rows(old.keys, source * capacity_, count, layer.keys, s * capacity_);
      copy_rows(old.values, source * capacity_, count, layer.values, s * capacity_);
    }
  }
  sequences_ = kept;
}

}  // namespace rankwise
