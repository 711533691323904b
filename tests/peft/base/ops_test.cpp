// The differentiable functions against the same thing composed of LibTorch's own: values and
// gradients.
#include "peft/base/ops/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peft/base/ops/kept.h"

namespace rankwise {
namespace {

// Sequences of 5, 1, 30 and 70 tokens, and fillers to 112: within a block of the kernel, and beyond
// one.
Unit uneven() {
  Unit unit;
  unit.bounds = {0, 5, 6, 36, 106};
  unit.rows = {7, 3, 12, 900};
  unit.tokens = at::zeros({112}, at::kLong);
  return unit;
}

at::Tensor random(at::IntArrayRef shape) { return at::randn(shape).set_requires_grad(true); }

void expect_close(const at::Tensor& want, const at::Tensor& got, const char* what) {
  EXPECT_LT((want - got).abs().max().item<double>(), 2e-5 * (1 + want.abs().max().item<double>()))
      << what;
}

struct Case {
  int64_t heads, key_heads, size;
  bool causal;
  double dropout;
  std::vector<int64_t> queries;  // empty: every token
};

// One sequence, one head at a time, with matmul and softmax; dropout by the same factors.
at::Tensor composed(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                    const kernels::AttentionPlan& plan) {
  at::Tensor out = at::zeros({q.size(0), plan.heads * plan.head_size});
  std::vector<at::Tensor> rows;
  for (int64_t s = 0; s < plan.sequences(); ++s) {
    const int64_t q0 = plan.query_bounds[s], q1 = plan.query_bounds[s + 1], k0 = plan.key_bounds[s],
                  k1 = plan.key_bounds[s + 1];
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < plan.heads; ++h) {
      const int64_t g = h / (plan.heads / plan.key_heads), d = plan.head_size;
      const auto part = [d](const at::Tensor& x, int64_t from, int64_t to, int64_t head) {
        return x.slice(0, from, to).slice(1, head * d, head * d + d);
      };
      at::Tensor mask = at::zeros({q1 - q0, k1 - k0}), factors = at::ones({q1 - q0, k1 - k0});
      for (int64_t i = 0; i < q1 - q0; ++i) {
        const StretchWords words =
            philox(plan.key,
                   {plan.dropout_site, plan.query_rows[q0 + i],
                    static_cast<uint32_t>(plan.query_positions[q0 + i]), static_cast<uint32_t>(h)});
        for (int64_t j = 0; j < k1 - k0; ++j) {
          if (plan.causal && j > plan.query_positions[q0 + i]) mask[i][j] = -INFINITY;
          if (plan.dropout.active())
            factors[i][j] = dropout_factor(words, static_cast<uint32_t>(j), plan.dropout);
        }
      }
      const at::Tensor scores =
          at::matmul(part(q, q0, q1, h), part(k, k0, k1, g).t()) * plan.scale + mask;
      heads.push_back(at::matmul(at::softmax(scores, 1) * factors, part(v, k0, k1, g)));
    }
    rows.push_back(at::cat(heads, 1));
  }
  rows.push_back(out.slice(0, plan.query_bounds.back()));
  return at::cat(rows, 0);
}

TEST(Attention, EqualsItsComposition) {
  at::manual_seed(1);
  for (const Case& c :
       {Case{4, 4, 16, false, 0, {}}, Case{4, 2, 24, true, 0, {}}, Case{2, 1, 32, false, 0.2, {}},
        Case{3, 3, 20, true, 0.1, {0, 5, 6, 35, 40, 105}}}) {
    const Unit unit = uneven();
    const Pass pass(unit, {9, 4, true});
    const Pass queries = c.queries.empty() ? pass : pass.at(c.queries);
    kernels::AttentionPlan plan = attention_plan(queries, pass, 3, c.dropout);
    plan.heads = c.heads;
    plan.key_heads = c.key_heads;
    plan.head_size = c.size;
    plan.scale = 0.3f;
    plan.causal = c.causal;
    const int64_t rows = c.queries.empty() ? 112 : static_cast<int64_t>(c.queries.size());
    at::Tensor q = random({rows, c.heads * c.size}), k = random({112, c.key_heads * c.size}),
               v = random({112, c.key_heads * c.size});
    const at::Tensor weights = at::randn({rows, c.heads * c.size});
    const at::Tensor got = attention(q, k, v, plan);
    (got * weights).sum().backward();
    const std::vector<at::Tensor> grads = {q.grad().clone(), k.grad().clone(), v.grad().clone()};
    for (at::Tensor* x : {&q, &k, &v}) x->mutable_grad() = at::Tensor();
    const at::Tensor want = composed(q, k, v, plan);
    (want * weights).sum().backward();
    expect_close(want, got, "values");
    expect_close(q.grad(), grads[0], "queries");
    expect_close(k.grad(), grads[1], "keys");
    expect_close(v.grad(), grads[2], "values' gradient");
  }
}

TEST(AddLayerNorm, EqualsItsComposition) {
  at::manual_seed(2);
  const Unit unit = uneven();
  for (const double p : {0.0, 0.3}) {
    const Pass pass(unit, {9, 4, true});
    at::Tensor x = random({112, 40}), residual = random({112, 40}), weight = random({40}),
               bias = random({40});
    const at::Tensor factors = dropout(at::ones({112, 40}), pass, {5, p}),
                     upstream = at::randn({112, 40});
    const auto gradients = [&](const at::Tensor& y) {
      for (at::Tensor* t : {&x, &residual, &weight, &bias}) t->mutable_grad() = at::Tensor();
      (y * upstream).sum().backward();
      return std::vector<at::Tensor>{x.grad(), residual.grad(), weight.grad(), bias.grad()};
    };
    const at::Tensor got = add_layer_norm(x, residual, weight, bias, 1e-5, pass, {5, p});
    const at::Tensor want = at::layer_norm(x * factors + residual, {40}, weight, bias, 1e-5);
    expect_close(want, got, "values");
    const auto a = gradients(want), b = gradients(got);
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], "gradient");
  }
}

TEST(Dropout, KeepsItsShareAndItsMean) {
  Unit unit;
  unit.bounds = {0, 2000};
  unit.rows = {1};
  unit.tokens = at::zeros({2000}, at::kLong);
  const at::Tensor y = dropout(at::ones({2000, 384}), Pass(unit, {42, 7, true}), {1, 0.1});
  const double kept = (y > 0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(0.9, kept, 5 * std::sqrt(0.09 / y.numel()));  // five deviations
  EXPECT_FLOAT_EQ(1 / 0.9f, y.max().item<float>());
  const at::Tensor by_column = (y > 0).to(at::kDouble).mean(0),
                   by_row = (y > 0).to(at::kDouble).mean(1);
  EXPECT_LT((by_column - 0.9).abs().max().item<double>(), 5.5 * std::sqrt(0.09 / 2000));
  EXPECT_LT((by_row - 0.9).abs().max().item<double>(), 5.5 * std::sqrt(0.09 / 384));
}

TEST(Dropout, IsAFunctionOfRowPositionSiteAndUpdateOnly) {
  const Unit unit = uneven();
  const Pass pass(unit, {42, 7, true});
  const at::Tensor ones = at::ones({112, 64}), all = dropout(ones, pass, {1, 0.5});
  const std::vector<int64_t> index = {6, 30, 100};
  EXPECT_TRUE(at::equal(all.index_select(0, at::tensor(index)),
                        dropout(at::ones({3, 64}), pass.at(index), {1, 0.5})));
  Unit alone;  // the row of 30 tokens in a unit of its own
  alone.bounds = {0, 30};
  alone.rows = {12};
  alone.tokens = at::zeros({32}, at::kLong);
  EXPECT_TRUE(
      at::equal(all.slice(0, 6, 36),
                dropout(at::ones({32, 64}), Pass(alone, {42, 7, true}), {1, 0.5}).slice(0, 0, 30)));
  EXPECT_FALSE(at::equal(all, dropout(ones, pass, {2, 0.5})));
  EXPECT_FALSE(at::equal(all, dropout(ones, Pass(unit, {42, 8, true}), {1, 0.5})));
  EXPECT_FALSE(at::equal(all, dropout(ones, Pass(unit, {43, 7, true}), {1, 0.5})));
  EXPECT_TRUE(at::equal(ones, dropout(ones, Pass(unit, {42, 7, false}), {1, 0.5})));
}

}  // namespace
}  // namespace rankwise
