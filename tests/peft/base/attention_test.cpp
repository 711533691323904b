// The attention core against the same composed of LibTorch's own functions: values and gradients;
// and text read piece by piece through a cache against text read at once.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peft/base/attention_site.h"
#include "peft/base/cache.h"
#include "tests/peft/base/support.h"

namespace rankwise {
namespace {

struct Case {
  AttentionSite site;
  std::vector<int64_t> queries;  // empty: every token
  bool biased = false;
};

std::shared_ptr<const kernels::RelativeBias> bias_of(const Case& c) {
  if (!c.biased) return nullptr;
  auto bias = std::make_shared<kernels::RelativeBias>();
  bias->reach = 80;
  for (int64_t i = 0; i < c.site.heads * 161; ++i)
    bias->values.push_back(std::sin(static_cast<float>(i)));
  return bias;
}

// What is added to the products of one head of one sequence: -∞ where a query does not see a key.
at::Tensor additions(const Case& c, const Pass& queries, int64_t q0, int64_t q1, int64_t keys,
                     int64_t head) {
  const auto bias = bias_of(c);
  at::Tensor sum = at::zeros({q1 - q0, keys});
  for (int64_t i = 0; i < q1 - q0; ++i) {
    const auto position = static_cast<int64_t>(queries.places().positions[q0 + i]);
    for (int64_t j = 0; j < keys; ++j) {
      const bool seen =
          !c.site.causal || (j <= position && (c.site.window == 0 || j > position - c.site.window));
      sum[i][j] = seen ? (bias ? bias->of(head)[j - position] : 0.0f) : -INFINITY;
    }
  }
  return sum;
}

at::Tensor factors(const AttentionSite& site, const Pass& queries, int64_t q0, int64_t q1,
                   int64_t keys, int64_t head) {
  at::Tensor factors = at::ones({q1 - q0, keys});
  const kernels::RowDropout dropout = queries.dropout(site.dropout.site, site.dropout.p);
  if (!dropout.rate.active()) return factors;
  for (int64_t i = 0; i < q1 - q0; ++i) {
    const StretchWords words =
        philox(dropout.key, {dropout.site, dropout.rows[q0 + i], dropout.positions[q0 + i],
                             static_cast<uint32_t>(head)});
    for (int64_t j = 0; j < keys; ++j)
      factors[i][j] = dropout_factor(words, static_cast<uint32_t>(j), dropout.rate);
  }
  return factors;
}

// One sequence, one head at a time, with matmul and softmax.
at::Tensor composed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Case& c,
                    const Pass& queries, const Pass& keys) {
  const AttentionSite& site = c.site;
  const auto &query_bounds = queries.places().bounds, &key_bounds = keys.places().bounds;
  std::vector<at::Tensor> rows;
  for (size_t s = 0; s + 1 < query_bounds.size(); ++s) {
    const int64_t q0 = query_bounds[s], q1 = query_bounds[s + 1], k0 = key_bounds[s],
                  k1 = key_bounds[s + 1];
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < site.heads; ++h) {
      const int64_t g = h / (site.heads / site.key_heads), d = site.head_size;
      const auto part = [d](const at::Tensor& x, int64_t from, int64_t to, int64_t head) {
        return x.slice(0, from, to).slice(1, head * d, head * d + d);
      };
      at::Tensor scores = at::matmul(part(q, q0, q1, h), part(k, k0, k1, g).t()) * site.scale;
      if (site.softcap > 0) scores = at::tanh(scores / site.softcap) * site.softcap;
      scores = scores + additions(c, queries, q0, q1, k1 - k0, h);
      heads.push_back(at::matmul(
          at::softmax(scores, 1) * factors(site, queries, q0, q1, k1 - k0, h), part(v, k0, k1, g)));
    }
    rows.push_back(at::cat(heads, 1));
  }
  rows.push_back(at::zeros({q.size(0) - query_bounds.back(), q.size(1)}));
  return at::cat(rows, 0);
}

AttentionSite site(int64_t heads, int64_t key_heads, int64_t size, bool causal) {
  return {
      .heads = heads, .key_heads = key_heads, .head_size = size, .scale = 0.3, .causal = causal};
}

std::vector<Case> cases() {
  std::vector<Case> cases = {
      {site(4, 4, 16, false), {}},      {site(4, 2, 24, true), {}},
      {site(2, 1, 32, false), {}},      {site(3, 3, 20, true), {0, 5, 6, 35, 40, 105}},
      {site(4, 2, 16, true), {}},       {site(2, 2, 16, true), {}, true},
      {site(2, 2, 16, false), {}, true}};
  cases[2].site.dropout = {3, 0.2};
  cases[3].site.dropout = {3, 0.1};
  cases[4].site.window = 7;
  cases[4].site.softcap = 1.5;
  return cases;
}

TEST(Attention, EqualsItsComposition) {
  at::manual_seed(1);
  for (const Case& c : cases()) {
    const Unit unit = uneven();
    const Pass pass(unit, {9, 4, true});
    const Pass queries = c.queries.empty() ? pass : pass.at(c.queries);
    const int64_t rows = c.queries.empty() ? 112 : static_cast<int64_t>(c.queries.size());
    const int64_t width = c.site.heads * c.site.head_size,
                  key_width = c.site.key_heads * c.site.head_size;
    at::Tensor q = random({rows, width}), k = random({112, key_width}),
               v = random({112, key_width});
    const at::Tensor weights = at::randn({rows, width});
    const at::Tensor got = c.site(q, k, v, queries, pass, bias_of(c));
    (got * weights).sum().backward();
    const std::vector<at::Tensor> grads = {q.grad().clone(), k.grad().clone(), v.grad().clone()};
    for (at::Tensor* x : {&q, &k, &v}) x->mutable_grad() = at::Tensor();
    const at::Tensor want = composed(q, k, v, c, queries, pass);
    (want * weights).sum().backward();
    expect_close(want, got, "values");
    expect_close(q.grad(), grads[0], "queries");
    expect_close(k.grad(), grads[1], "keys");
    expect_close(v.grad(), grads[2], "values' gradient");
  }
}

// The first 3 tokens of each sequence, then the others one by one.
TEST(Attention, ThroughACacheIsTheSameAsAtOnce) {
  at::manual_seed(2);
  AttentionSite layer = site(4, 2, 16, true);
  layer.window = 6;
  Unit whole;
  whole.text.bounds = {0, 9, 18};
  whole.rows = {0, 1};
  whole.text.tokens = at::zeros({18}, at::kLong);
  const at::Tensor q = at::randn({18, 64}), k = at::randn({18, 32}), v = at::randn({18, 32});
  const Pass at_once(whole, {});
  const at::Tensor want = layer(q, k, v, at_once, at_once);
  KeyValueCache cache(2, 9);
  PassOptions options;
  options.cache = &cache;
  for (int64_t begin = 0, end = 3; end <= 9; begin = end, ++end) {
    Unit piece;
    piece.rows = {0, 1};
    piece.text.bounds = {0, end - begin, 2 * (end - begin)};
    piece.text.tokens = at::zeros({2 * (end - begin)}, at::kLong);
    const auto part = [&](const at::Tensor& x) {
      return at::cat({x.slice(0, begin, end), x.slice(0, 9 + begin, 9 + end)});
    };
    const Pass pass(piece, {}, options);
    expect_close(part(want), layer(part(q), part(k), part(v), pass, pass), "a piece");
  }
  cache.select({1});
  EXPECT_EQ(cache.sequences(), 1);
  EXPECT_EQ(cache.length(0), 9);
  expect_close(k.slice(0, 9, 18), cache.layer(0).keys.slice(0, 0, 9), "what is kept");
}

}  // namespace
}  // namespace rankwise
