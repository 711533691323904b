// The differentiable functions against the same thing composed of LibTorch's own: values and
// gradients.
#include "peft/base/ops/ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "peft/base/ops/kept.h"
#include "tests/peft/base/support.h"

namespace rankwise {
namespace {

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

TEST(Linear, OfAFrozenWeightHasTheGradientsOfItsInputAndItsBias) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({24, 40}), upstream = at::randn({112, 24});
  for (const bool trained : {false, true}) {
    at::Tensor x = random({112, 40}), bias = at::randn({24}).set_requires_grad(trained);
    const auto gradients = [&](const at::Tensor& y) {
      for (at::Tensor* t : {&x, &bias}) t->mutable_grad() = at::Tensor();
      (y * upstream).sum().backward();
      return std::pair{x.grad(), bias.grad()};
    };
    const auto [want_x, want_bias] = gradients(at::linear(x, weight, bias));
    const auto [got_x, got_bias] = gradients(rankwise::linear(x, weight, bias));
    expect_close(want_x, got_x, "of the input");
    EXPECT_EQ(got_bias.defined(), trained);
    if (trained) expect_close(want_bias, got_bias, "of the bias");
  }
}

TEST(Dropout, KeepsItsShareAndItsMean) {
  Unit unit;
  unit.text.bounds = {0, 2000};
  unit.rows = {1};
  unit.text.tokens = at::zeros({2000}, at::kLong);
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
  alone.text.bounds = {0, 30};
  alone.rows = {12};
  alone.text.tokens = at::zeros({32}, at::kLong);
  EXPECT_TRUE(
      at::equal(all.slice(0, 6, 36),
                dropout(at::ones({32, 64}), Pass(alone, {42, 7, true}), {1, 0.5}).slice(0, 0, 30)));
  EXPECT_FALSE(at::equal(all, dropout(ones, pass, {2, 0.5})));
  EXPECT_FALSE(at::equal(all, dropout(ones, Pass(unit, {42, 8, true}), {1, 0.5})));
  EXPECT_FALSE(at::equal(all, dropout(ones, Pass(unit, {43, 7, true}), {1, 0.5})));
  EXPECT_TRUE(at::equal(ones, dropout(ones, Pass(unit, {42, 7, false}), {1, 0.5})));
}

TEST(RmsNorm, EqualsItsComposition) {
  at::manual_seed(3);
  for (const double offset : {0.0, 1.0}) {
    at::Tensor x = random({50, 24}), weight = random({24});
    const at::Tensor upstream = at::randn({50, 24});
    const auto gradients = [&](const at::Tensor& y) {
      for (at::Tensor* t : {&x, &weight}) t->mutable_grad() = at::Tensor();
      (y * upstream).sum().backward();
      return std::vector<at::Tensor>{x.grad(), weight.grad()};
    };
    const at::Tensor got = rms_norm(x, weight, 1e-5, offset);
    // The gradient of the weight in Gemma's form has the same x̂: offset only shifts the weight.
    const at::Tensor want = x * at::rsqrt(x.square().mean(1, true) + 1e-5) * (weight + offset);
    expect_close(want, got, "values");
    const auto a = gradients(want), b = gradients(got);
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], "gradient");
  }
}

TEST(Rotary, TurnsPairsAndItsGradientTurnsBack) {
  at::manual_seed(4);
  constexpr int64_t kRows = 20, kHeads = 3, kHalf = 5;
  at::Tensor x = random({kRows, kHeads * 2 * kHalf});
  const at::Tensor angle = at::randn({kRows, kHalf});
  const at::Tensor heads = x.view({kRows, kHeads, 2, kHalf});
  const at::Tensor first = heads.select(2, 0), second = heads.select(2, 1);
  const at::Tensor cosine = angle.cos().unsqueeze(1), sine = angle.sin().unsqueeze(1);
  const at::Tensor want =
      at::stack({first * cosine - second * sine, second * cosine + first * sine}, 2)
          .view(x.sizes());
  const at::Tensor got = rotary(x, {angle.cos(), angle.sin()});
  expect_close(want, got, "values");
  const at::Tensor upstream = at::randn(x.sizes());
  (want * upstream).sum().backward();
  const at::Tensor expected = x.grad().clone();
  x.mutable_grad() = at::Tensor();
  (got * upstream).sum().backward();
  expect_close(expected, x.grad(), "gradient");
}

TEST(Checkpointed, GivesTheBitsOfTheLayerItself) {
  const Unit unit = uneven();
  PassOptions options;
  options.gradient_checkpointing = true;
  at::Tensor weight = random({24, 24});
  const at::Tensor x = at::randn({112, 24});  // no gradient: what lies below a first adapter
  const auto run = [&](const Pass& pass, bool twice) {
    weight.mutable_grad() = at::Tensor();
    const LayerFunction layer = [&](const std::vector<at::Tensor>& inputs) {
      return dropout(at::linear(inputs[0], weight), pass, {1, 0.5});
    };
    at::Tensor y = checkpointed(pass, {x}, layer);
    if (twice) y = checkpointed(pass, {y}, layer);
    y.square().sum().backward();
    return weight.grad().clone();
  };
  for (const bool twice : {false, true}) {
    EXPECT_TRUE(at::equal(run(Pass(unit, {42, 7, true}), twice),
                          run(Pass(unit, {42, 7, true}, options), twice)));
  }
}

}  // namespace
}  // namespace rankwise
