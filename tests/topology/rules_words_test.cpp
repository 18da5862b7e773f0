// How rules name devices, counts and shares.
#include <gtest/gtest.h>

#include "topology/rules/evidence/words.hpp"

namespace lockstep::topology {
namespace {

using Names = std::vector<std::string>;

TEST(RuleWords, ListRunsOfThreeOrMoreInShort) {
  EXPECT_EQ(list(Names{}), "");
  EXPECT_EQ(list(Names{"GPU3"}), "GPU3");
  EXPECT_EQ(list(Names{"GPU3", "GPU4"}), "GPU3, GPU4");
  EXPECT_EQ(list(Names{"GPU3", "GPU4", "GPU5", "GPU7"}), "GPU3..GPU5, GPU7");
  EXPECT_EQ(list(Names{"GPU9", "GPU10", "GPU11"}), "GPU9..GPU11");
  EXPECT_EQ(list(Names{"mlx5_0", "mlx5_1", "ens1"}), "mlx5_0, mlx5_1, ens1");
  EXPECT_EQ(list(Names{"host0/mlx5_0", "host1/mlx5_1", "host1/mlx5_2", "host1/mlx5_3"}),
            "host0/mlx5_0, host1/mlx5_1..host1/mlx5_3");
}

TEST(RuleWords, ListDoesNotCountThroughBusIds) {
  EXPECT_EQ(list(Names{"GPU 0000:01:00.0", "GPU 0000:01:00.1", "GPU 0000:01:00.2"}),
            "GPU 0000:01:00.0, GPU 0000:01:00.1, GPU 0000:01:00.2");
}

TEST(RuleWords, ListEndsAfterEightParts) {
  Names names;
  for (int i = 0; i < 40; i += 2) names.push_back("n" + std::to_string(i));
  EXPECT_EQ(list(names), "n0, n2, n4, n6, n8, n10, n12, n14 and 12 more");
  EXPECT_EQ(list(Names(3, "99999999999999999999999")),
            "99999999999999999999999, 99999999999999999999999, 99999999999999999999999");
}

TEST(RuleWords, CountInTheRightNumber) {
  EXPECT_EQ(counted(0, "NVLink"), "no NVLinks");
  EXPECT_EQ(counted(1, "NVSwitch"), "1 NVSwitch");
  EXPECT_EQ(counted(4, "NVSwitch"), "4 NVSwitches");
  EXPECT_EQ(counted(7, "xGMI link"), "7 xGMI links");
}

TEST(RuleWords, NameSharesThatHaveAName) {
  EXPECT_EQ(share(0.5), "half");
  EXPECT_EQ(share(0.25), "a quarter");
  EXPECT_EQ(share(0.125), "an eighth");
  EXPECT_EQ(share(0.0625), "a sixteenth");
  EXPECT_EQ(share(0.75), "75 %");
  EXPECT_EQ(share(0.37), "37 %");
}

}  // namespace
}  // namespace lockstep::topology
