// Keys and values of the text that a decoder has read so far, so that generation computes new
// tokens only. Nothing is padded: each sequence has its own length.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rankwise {

class KeyValueCache {
 public:
  // capacity: most tokens of a sequence, prefix included.
  KeyValueCache(int64_t sequences, int64_t capacity) : sequences_(sequences), capacity_(capacity) {}

  // One attention layer's share: sequence s has its keys and values at rows s · capacity onwards.
  struct Layer {
    at::Tensor keys, values;       // [S · capacity, KH·D]
    std::vector<int64_t> lengths;  // [S]
  };
  // Adds key and value rows (packed at `bounds`, [S + 1]) behind those that are there.
  void append(size_t slot, const at::Tensor& keys, const at::Tensor& values,
              const std::vector<int64_t>& bounds);
  // What cross-attention keeps of the encoder's text: stored by the first append, the same for
  // ever.
  bool holds(size_t slot) const { return slot < layers_.size() && layers_[slot].keys.defined(); }
  const Layer& layer(size_t slot) const { return layers_.at(slot); }

  int64_t length(int64_t sequence) const;  // in the first layer; 0 before the first append
  int64_t sequences() const { return sequences_; }
  int64_t capacity() const { return capacity_; }
  // Sequence s goes on as a copy of what sequence from[s] was (beams; sequences that have ended).
  void select(const std::vector<int64_t>& from);

 private:
  int64_t sequences_, capacity_;
  std::vector<Layer> layers_;
};

}  // namespace rankwise
