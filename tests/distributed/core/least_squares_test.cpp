// Costs that explain what was measured; none is negative.
#include "distributed/core/least_squares.h"

#include <gtest/gtest.h>

namespace rankwise {
namespace {

TEST(LeastSquares, FindsCostsOfUnlikeSizes) {
  std::vector<std::vector<double>> rows;
  std::vector<double> targets;
  for (const double bytes : {1e3, 1e5, 1e7}) {
    rows.push_back({4, bytes});
    targets.push_back(4 * 3e-6 + bytes * 2e-10);
  }
  const std::vector<double> costs = fit_costs(rows, targets);
  EXPECT_NEAR(costs[0], 3e-6, 3e-14);
  EXPECT_NEAR(costs[1], 2e-10, 2e-18);
}

TEST(LeastSquares, WeighsErrorsByTheTarget) {  // both are off by the same part
  const double cost = fit_costs({{1}, {1000}}, {1.0, 2000.0})[0];
  EXPECT_NEAR(cost, 1.2, 1e-12);  // the minimum of (x - 1)² + (x / 2 - 1)²
}

TEST(LeastSquares, ANegativeCostIsLeftOut) {
  const std::vector<double> costs = fit_costs({{1, 1}, {1, 2}, {1, 3}}, {3, 2, 1});
  EXPECT_GT(costs[0], 0);
  EXPECT_EQ(costs[1], 0);
}

TEST(LeastSquares, WhatNoRowUsesCostsNothing) {
  const std::vector<double> costs = fit_costs({{2, 0}, {4, 0}}, {1, 2});
  EXPECT_DOUBLE_EQ(costs[0], 0.5);
  EXPECT_EQ(costs[1], 0);
}

}  // namespace
}  // namespace rankwise
