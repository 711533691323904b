#include "peft/base/kernels/cross_entropy.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace rankwise {
namespace {

// Losses and gradients of at::cross_entropy_loss in float64, whatever the spread of the logits.
class CrossEntropyRows : public testing::TestWithParam<double> {};

TEST_P(CrossEntropyRows, GivesLossAndGradientOfEachRow) {
  constexpr int64_t kRows = 5, kWords = 2500;  // two stretches and a part of one
  at::manual_seed(3);
  const at::Tensor logits = at::randn({kRows, kWords}, at::kDouble).mul(GetParam()).to(at::kFloat);
  const at::Tensor targets = at::randint(kWords, {kRows}, at::kLong);
  const at::Tensor log_probabilities = at::log_softmax(logits.to(at::kDouble), 1);
  const at::Tensor losses = -log_probabilities.gather(1, targets.unsqueeze(1)).squeeze(1);
  at::Tensor gradient = log_probabilities.exp();
  gradient.scatter_add_(1, targets.unsqueeze(1), at::full({kRows, 1}, -1.0, at::kDouble));

  at::Tensor in_place = logits.clone(), found = at::empty({kRows}, at::kDouble);
  kernels::cross_entropy_rows(in_place.data_ptr<float>(), targets.data_ptr<int64_t>(),
                              found.data_ptr<double>(), kWords, 0, 2);
  kernels::cross_entropy_rows(in_place.data_ptr<float>(), targets.data_ptr<int64_t>(),
                              found.data_ptr<double>(), kWords, 2, kRows);
  EXPECT_LT((found - losses).abs().max().item<double>(), 1e-6 * losses.abs().max().item<double>());
  EXPECT_LT((in_place - gradient).abs().max().item<double>(), 1e-6);
  const at::Tensor least = in_place.abs().masked_fill(in_place == 0, 1).min();
  EXPECT_GE(least.item<float>(), 1e-30f);  // denormal numbers make products many times slower
}

INSTANTIATE_TEST_SUITE_P(Spreads, CrossEntropyRows, testing::Values(0.01, 1, 60));

}  // namespace
}  // namespace rankwise
