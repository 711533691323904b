// The attention of one layer as families use it: how its heads look at the text, where a method may
// add keys and values, and the cache of generation.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "peft/base/ops/ops.h"
#include "peft/base/pass.h"

namespace rankwise {

// Packed rows of keys and values with each sequence's bounds.
struct KeyValueRows {
  at::Tensor keys, values;      // [Tk, KH·D]
  std::vector<int64_t> bounds;  // [S + 1]
};

// What a method does to the keys and values of an attention (prefix tuning).
class KeyValueAdapter {
 public:
  virtual ~KeyValueAdapter() = default;
  virtual KeyValueRows extend(KeyValueRows rows, const Pass& keys) const = 0;
};

struct AttentionSite {
  std::string path;  // Hugging Face's module name
  size_t slot = 0;   // of the cache; also the layer's number among those of its kind
  int64_t heads = 1, key_heads = 1, head_size = 1;
  double scale = 1;
  bool causal = false;
  int64_t window = 0;
  double softcap = 0;
  DropoutSite dropout;
  const KeyValueAdapter* adapter = nullptr;

  // query [Tq, H·D] of the tokens of `queries`, key and value [Tk, KH·D] of those of `keys` (the
  // same text, or an encoder's) → [Tq, H·D].
  at::Tensor operator()(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const Pass& queries, const Pass& keys,
                        std::shared_ptr<const kernels::RelativeBias> bias = nullptr) const;
  // The same over what the cache holds for this slot: cross-attention after the first step.
  at::Tensor over_cache(const at::Tensor& query, const Pass& queries) const;

 private:
  at::Tensor over(const KeyValueCache& cache, const at::Tensor& query,
                  kernels::AttentionPlan plan) const;
  kernels::AttentionPlan plan(const Pass& queries) const;
};

}  // namespace rankwise
