#include "bench/stopping.hpp"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();

TEST(StoppingRule, FixedCountIsExact) {
  const StoppingRule rule{5, 0.0, 0.0};
  EXPECT_FALSE(rule.enough(4, 1e9, 0));
  EXPECT_TRUE(rule.enough(5, 0, kUnknown));
}

TEST(StoppingRule, UsualRoundsComeBeforeTheShare) {
  const StoppingRule rule{0, 1.0, 10.0};
  EXPECT_FALSE(rule.enough(kUsualRounds - 1, 5.0, 0));
  EXPECT_TRUE(rule.enough(kUsualRounds, 1.0, kUnknown));
  EXPECT_FALSE(rule.enough(kUsualRounds, 0.5, kUnknown));
}

TEST(StoppingRule, StopsWhenKnownWellEnough) {
  const StoppingRule rule{0, 1.0, 10.0};
  EXPECT_TRUE(rule.enough(kUsualRounds, 0.1, kPrecision));
  EXPECT_FALSE(rule.enough(kUsualRounds, 0.1, 2 * kPrecision));
}

TEST(StoppingRule, SpentBudgetStillGivesAnInterval) {
  const StoppingRule rule{0, 0.0, 0.0};
  EXPECT_FALSE(rule.enough(kLeastRounds - 1, 1.0, 0));
  EXPECT_TRUE(rule.enough(kLeastRounds, 1.0, kUnknown));
}

TEST(StoppingRule, EndsAtMostRounds) {
  const StoppingRule rule{0, 1e9, 1e9};
  EXPECT_TRUE(rule.enough(kMostRounds, 0, kUnknown));
}

TEST(TimeShare, FollowsBytesAndCountsSmallOnesAsOneMebibyte) {
  const std::size_t mebibyte = std::size_t{1} << 20;
  EXPECT_DOUBLE_EQ(timeShare(12, std::vector<std::size_t>{8, 64, 2 * mebibyte}), 3);
  EXPECT_DOUBLE_EQ(timeShare(12, std::vector<std::size_t>{2 * mebibyte}), 12);
  EXPECT_DOUBLE_EQ(timeShare(-1, std::vector<std::size_t>{8}), 0);
}

}  // namespace
}  // namespace lockstep::bench
