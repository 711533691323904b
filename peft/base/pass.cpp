// Keys of randomness, and the places of packed tokens.
#include "peft/base/pass.h"

#include <algorithm>

namespace rankwise {

PhiloxKey Randomness::key() const {
  const StretchWords words =
      philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
             {static_cast<uint32_t>(update), static_cast<uint32_t>(update >> 32), 0x52414E4Bu, 0});
  return {words.offset, words.twist};
}

TokenPlaces::TokenPlaces(const Unit& unit) : bounds(unit.bounds) {
  const auto tokens = static_cast<size_t>(unit.tokens.size(0));
  rows.assign(tokens, 0xFFFFFFFFu);
  positions.assign(tokens, 0);
  for (size_t s = 0; s + 1 < unit.bounds.size(); ++s) {
    for (int64_t t = unit.bounds[s]; t < unit.bounds[s + 1]; ++t) {
      rows[static_cast<size_t>(t)] = static_cast<uint32_t>(unit.rows[s]);
      positions[static_cast<size_t>(t)] = static_cast<uint32_t>(t - unit.bounds[s]);
    }
  }
}

TokenPlaces::TokenPlaces(const TokenPlaces& all, const std::vector<int64_t>& index) {
  rows.reserve(index.size());
  positions.reserve(index.size());
  for (const int64_t token : index) {
    rows.push_back(all.rows[static_cast<size_t>(token)]);
    positions.push_back(all.positions[static_cast<size_t>(token)]);
  }
  for (const int64_t bound : all.bounds) {
    bounds.push_back(std::lower_bound(index.begin(), index.end(), bound) - index.begin());
  }
}

Pass Pass::at(const std::vector<int64_t>& index) const {
  Pass narrowed = *this;
  narrowed.places_ = std::make_shared<TokenPlaces>(*places_, index);
  return narrowed;
}

kernels::RowDropout Pass::dropout(uint32_t site, double p) const {
  const DropoutRate rate(randomness_.training ? p : 0.0);
  return {randomness_.key(), site, rate, places_->rows.data(), places_->positions.data()};
}

kernels::AttentionPlan attention_plan(const Pass& queries, const Pass& keys, uint32_t site,
                                      double p) {
  kernels::AttentionPlan plan;
  plan.query_bounds = queries.places().bounds;
  plan.key_bounds = keys.places().bounds;
  plan.query_rows = queries.places().rows;
  plan.query_positions.assign(queries.places().positions.begin(), queries.places().positions.end());
  const kernels::RowDropout dropout = queries.dropout(site, p);
  plan.dropout_site = site;
  plan.dropout = dropout.rate;
  plan.key = dropout.key;
  return plan;
}

std::vector<int64_t> first_tokens(const Unit& unit) {
  return {unit.bounds.begin(), unit.bounds.end() - 1};
}

}  // namespace rankwise
