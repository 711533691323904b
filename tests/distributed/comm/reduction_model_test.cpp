// What of a sum crosses which link, counted; a fit finds the costs that made the times.
#include "distributed/comm/reduction_model.h"

#include <gtest/gtest.h>

namespace rankwise {
namespace {

constexpr int64_t kBytes = 32768;

TEST(ReductionModel, OneRankSendsNothing) {
  const ReductionUse use = reduction_use({1, 1}, kBytes);
  EXPECT_EQ(use.within_node.latencies + use.between_nodes.latencies, 0);
  EXPECT_EQ(use.within_node.bytes + use.between_nodes.bytes, 0);
}

TEST(ReductionModel, TwoRanksExchangeHalvesTwice) {
  const LinkUse between = reduction_use({2, 2}, kBytes).between_nodes;
  EXPECT_EQ(between.latencies, 2);
  EXPECT_EQ(between.bytes, kBytes);
  const ReductionUse near = reduction_use({2, 1}, kBytes);
  EXPECT_EQ(near.within_node.bytes, kBytes);
  EXPECT_EQ(near.between_nodes.bytes, 0);
}

TEST(ReductionModel, LongMessagesAreAskedForFirst) {
  EXPECT_EQ(reduction_use({2, 2}, 2 * kEagerBytes).between_nodes.latencies, 2);
  EXPECT_EQ(reduction_use({2, 2}, 2 * kEagerBytes + 16).between_nodes.latencies, 6);
}

TEST(ReductionModel, ANodeSendsTheSameHoweverManyRanksItHas) {
  for (const int64_t ranks_per_node : {1, 2, 4, 8}) {
    const ReductionUse use = reduction_use({64 * ranks_per_node, 64}, kBytes);
    EXPECT_EQ(use.between_nodes.latencies, 12);
    EXPECT_DOUBLE_EQ(use.between_nodes.bytes, 2 * kBytes * 63 / 64.0);
  }
}

TEST(ReductionModel, ARankTooManyAddsAMessageThereAndBack) {
  const LinkUse two = reduction_use({2, 2}, kBytes).between_nodes,
                three = reduction_use({3, 3}, kBytes).between_nodes;
  EXPECT_EQ(three.latencies, two.latencies + 2);
  EXPECT_EQ(three.bytes, two.bytes + 2 * kBytes);
  EXPECT_EQ(reduction_use({3, 2}, kBytes).between_nodes.bytes, 2 * kBytes);  // 2 + 1 ranks
}

TEST(ReductionModel, MessagesGrowWithTheLogarithmOfRanks) {
  const LinkUse between = reduction_use({10000, 10000}, kBytes).between_nodes;
  EXPECT_EQ(between.latencies, 2 * 13 + 2);
  EXPECT_LT(between.bytes, 4 * kBytes);
}

TEST(ReductionModel, AFitFindsTheLinks) {
  const ReductionModel truth = {{2e-6, 1e-10}, {3e-5, 8e-10}};
  std::vector<MeasuredReduction> measured;
  for (const NodeLayout& layout : {NodeLayout{1, 1}, {2, 1}, {4, 2}, {8, 4}}) {
    for (const int64_t bytes : {1024, 65536, 4194304})
      measured.push_back({layout, bytes, truth.seconds(layout, bytes)});
  }
  const ReductionModel found = fit_reductions(measured);
  EXPECT_NEAR(found.within_node.latency_seconds, 2e-6, 2e-12);
  EXPECT_NEAR(found.within_node.seconds_per_byte, 1e-10, 1e-16);
  EXPECT_NEAR(found.between_nodes.latency_seconds, 3e-5, 3e-11);
  EXPECT_NEAR(found.between_nodes.seconds_per_byte, 8e-10, 8e-16);
}

TEST(ReductionModel, LinksThatWereNotMeasuredCostNothing) {
  const ReductionModel found = fit_reductions({{{2, 1}, 1024, 1e-5}, {{2, 1}, 1048576, 1e-3}});
  EXPECT_EQ(found.between_nodes.latency_seconds, 0);
  EXPECT_EQ(found.between_nodes.seconds_per_byte, 0);
  EXPECT_GT(found.within_node.seconds_per_byte, 0);
}

}  // namespace
}  // namespace rankwise
