// Numbering of nodes.
#include "distributed/comm/world.h"

#include <gtest/gtest.h>

namespace rankwise {
namespace {

TEST(World, NodesAreNumberedByTheirFirstRank) {  // ranks placed round robin, as srun
                                                 // --distribution=cyclic does
  const World world = make_world(3, {"b", "a", "b", "a", "c"}, {"b", "a", "b", "a", "c"});
  EXPECT_EQ(world.node_of, (std::vector<int>{0, 1, 0, 1, 2}));
  EXPECT_EQ(world.nodes, 3);
  EXPECT_EQ(world.node, 1);
  EXPECT_EQ(world.local_rank, 1);
  EXPECT_EQ(world.local_ranks, 2);
  EXPECT_FALSE(world.leads_node());
}

TEST(World, EqualHostNamesCanBeTwoNodes) {  // containers that do not share memory
  const World world = make_world(1, {"box", "box"}, {"0 box", "1 box"});
  EXPECT_EQ(world.nodes, 2);
  EXPECT_TRUE(world.leads_node());
}

}  // namespace
}  // namespace rankwise
