// LibTorch's functions want each sequence's first row, as 32-bit numbers on the GPU.
#include "peft/base/ops/flash_attention.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <algorithm>

#include "peft/base/kernels/cuda/device.h"
#include "peft/base/ops/sent_to.h"

namespace rankwise {
namespace {

// The last query of each sequence stands at its last key, as a causal FlashAttention takes it.
bool ends_with_its_keys(const kernels::AttentionPlan& plan) {
  for (int64_t s = 0; s < plan.sequences(); ++s) {
    const auto at = static_cast<size_t>(s);
    const int64_t end = plan.query_bounds[at + 1];
    for (int64_t i = plan.query_bounds[at]; i < end; ++i)
      if (plan.query_positions[static_cast<size_t>(i)] != plan.key_counts[at] - (end - i))
        return false;
  }
  return true;
}

bool keys_follow_each_other(const kernels::AttentionPlan& plan) {
  int64_t next = 0;
  for (size_t s = 0; s < plan.key_begins.size(); ++s) {
    if (plan.key_begins[s] != next) return false;
    next += plan.key_counts[s];
  }
  return true;
}

struct PackedBounds {
  at::Tensor query_bounds, key_bounds;  // [S + 1] int32, on the GPU
  int64_t queries, keys;                // rows of all sequences
  int64_t longest_query = 0, longest_key = 0;
  std::optional<int64_t> left, right;  // how far a query sees; none: without end

  PackedBounds(const kernels::AttentionPlan& plan, const at::Device& device)
      : queries(plan.query_bounds.back()), keys(0) {
    at::Tensor bounds = at::empty({2, plan.sequences() + 1}, at::kInt);
    auto* const of_queries = bounds.data_ptr<int32_t>();
    auto* const of_keys = of_queries + plan.sequences() + 1;
    of_queries[0] = of_keys[0] = 0;
    for (int64_t s = 0; s < plan.sequences(); ++s) {
      const auto at = static_cast<size_t>(s);
      keys += plan.key_counts[at];
      of_queries[s + 1] = static_cast<int32_t>(plan.query_bounds[at + 1]);
      of_keys[s + 1] = static_cast<int32_t>(keys);
      longest_query = std::max(longest_query, plan.query_bounds[at + 1] - plan.query_bounds[at]);
      longest_key = std::max(longest_key, plan.key_counts[at]);
    }
    bounds = sent_to(device, bounds);
    query_bounds = bounds[0];
    key_bounds = bounds[1];
    if (plan.causal) right = 0;
    if (plan.causal && plan.window > 0) left = plan.window - 1;
  }

  at::Tensor queries_of(const at::Tensor& rows) const { return rows.narrow(0, 0, queries); }
  at::Tensor keys_of(const at::Tensor& rows) const { return rows.narrow(0, 0, keys); }
};

// [T, H·D] float32 → [T, H, D] bfloat16.
at::Tensor as_heads(const at::Tensor& packed, int64_t heads) {
  return packed.to(at::kBFloat16).view({packed.size(0), heads, -1});
}

// The first rows of heads → [all_rows, H·D] float32, 0 in the rows behind them.
at::Tensor as_packed(const at::Tensor& heads, int64_t all_rows) {
  const int64_t rows = heads.size(0), columns = heads.size(1) * heads.size(2);
  if (rows == all_rows) return heads.reshape({rows, columns}).to(at::kFloat);
  at::Tensor packed = at::empty({all_rows, columns}, heads.options().dtype(at::kFloat));
  packed.narrow(0, 0, rows).copy_(heads.reshape({rows, columns}));
  packed.narrow(0, rows, all_rows - rows).zero_();
  return packed;
}

// LibTorch then adds a query's gradients in one order.
class Deterministic {
 public:
  Deterministic() { at::globalContext().setDeterministicAlgorithms(true, false); }
  ~Deterministic() { at::globalContext().setDeterministicAlgorithms(false, false); }
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;
};

}  // namespace

bool is_flash(const kernels::AttentionPlan& plan) {
  constexpr int64_t kLargestHead = 256;
  return plan.bfloat16_products && plan.softcap == 0 && !plan.bias && !plan.dropout.active() &&
         plan.head_size % 8 == 0 && plan.head_size <= kLargestHead &&
         kernels::cuda_has_bfloat16() && plan.query_bounds.back() > 0 &&
         keys_follow_each_other(plan) && (!plan.causal || ends_with_its_keys(plan));
}

Attended flash_attended(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const kernels::AttentionPlan& plan) {
  const PackedBounds packed(plan, query.device());
  const at::Tensor q = as_heads(query, plan.heads), k = as_heads(key, plan.key_heads),
                   v = as_heads(value, plan.key_heads);
  const auto [out, log_sum, random, unused, mask] = at::_flash_attention_forward(
      packed.queries_of(q), packed.keys_of(k), packed.keys_of(v), packed.query_bounds,
      packed.key_bounds, packed.longest_query, packed.longest_key,
      /*dropout_p=*/0, plan.causal, /*return_debug_mask=*/false, plan.scale, packed.left,
      packed.right);
  return {as_packed(out, query.size(0)), {q, k, v, out, log_sum, random, unused}};
}

AttentionGradients flash_gradients(const std::vector<at::Tensor>& kept, const at::Tensor& grad_out,
                                   const kernels::AttentionPlan& plan) {
  const PackedBounds packed(plan, grad_out.device());
  const Deterministic deterministic;
  const auto [query, key, value] = at::_flash_attention_backward(
      packed.queries_of(as_heads(grad_out, plan.heads)), packed.queries_of(kept[0]),
      packed.keys_of(kept[1]), packed.keys_of(kept[2]), kept[3], kept[4], packed.query_bounds,
      packed.key_bounds, packed.longest_query, packed.longest_key,
      /*dropout_p=*/0, plan.causal, kept[5], kept[6], plan.scale, packed.left, packed.right);
  return {as_packed(query, kept[0].size(0)), as_packed(key, kept[1].size(0)),
          as_packed(value, kept[2].size(0))};
}

}  // namespace rankwise
