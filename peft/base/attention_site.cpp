// Who sees whom: the tokens of `queries` see the tokens of `keys` of the same sequence.
#include "peft/base/attention_site.h"

#include "peft/base/cache.h"

namespace rankwise {

kernels::AttentionPlan AttentionSite::plan(const Pass& queries) const {
  const TokenPlaces& places = queries.places();
  const kernels::RowDropout dropped = queries.dropout(dropout.site, dropout.p);
  kernels::AttentionPlan plan;
  plan.query_bounds = places.bounds;
  plan.query_rows = places.rows;
  plan.query_positions.assign(places.positions.begin(), places.positions.end());
  plan.heads = heads;
  plan.key_heads = key_heads;
  plan.head_size = head_size;
  plan.scale = static_cast<float>(scale);
  plan.causal = causal;
  plan.window = window;
  plan.softcap = static_cast<float>(softcap);
  plan.dropout_site = dropout.site;
  plan.dropout = dropped.rate;
  plan.key = dropped.key;
  plan.bfloat16_products = queries.options().bfloat16_products;
  return plan;
}

at::Tensor AttentionSite::over(const KeyValueCache& cache, const at::Tensor& query,
                               kernels::AttentionPlan plan) const {
  const KeyValueCache::Layer& held = cache.layer(slot);
  for (int64_t s = 0; s < cache.sequences(); ++s) plan.key_begins.push_back(s * cache.capacity());
  plan.key_counts = held.lengths;
  return attention(query, held.keys, held.values, plan);
}

at::Tensor AttentionSite::operator()(const at::Tensor& query, const at::Tensor& key,
                                     const at::Tensor& value, const Pass& queries, const Pass& keys,
                                     std::shared_ptr<const kernels::RelativeBias> bias) const {
  KeyValueRows rows{key, value, keys.places().bounds};
  KeyValueCache* cache = queries.options().cache;
  // A cache holds the added rows since the first step.
  const bool first = !cache || !cache->holds(slot);
  if (adapter && first) rows = adapter->extend(std::move(rows), keys);
  kernels::AttentionPlan plan = this->plan(queries);
  plan.bias = std::move(bias);
  if (cache) {
    cache->append(slot, rows.keys, rows.values, rows.bounds);
    return over(*cache, query, std::move(plan));
  }
  for (size_t s = 0; s + 1 < rows.bounds.size(); ++s) {
    plan.key_begins.push_back(rows.bounds[s]);
    plan.key_counts.push_back(rows.bounds[s + 1] - rows.bounds[s]);
  }
  return attention(query, rows.keys, rows.values, plan);
}

at::Tensor AttentionSite::over_cache(const at::Tensor& query, const Pass& queries) const {
  return over(*queries.options().cache, query, plan(queries));
}

}  // namespace rankwise
