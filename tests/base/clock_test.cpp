#include "base/clock.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

TEST(Deadline, IsNeverByDefault) {
  const Deadline never;
  EXPECT_FALSE(never.passed());
  EXPECT_EQ(never.pollMilliseconds(), -1);  // poll(2): no limit
}

TEST(Deadline, PassesAtItsTime) {
  const auto deadline = Deadline::in(1h);
  EXPECT_FALSE(deadline.passed());
  EXPECT_FALSE(deadline.passed(deadline.at() - 1ns));
  EXPECT_TRUE(deadline.passed(deadline.at()));
  EXPECT_TRUE(deadline.passed(deadline.at() + 1ns));
}

TEST(Deadline, InThePastLeavesNothing) {
  const auto past = Deadline::in(-1h);
  EXPECT_TRUE(past.passed());
  EXPECT_EQ(past.pollMilliseconds(), 0);
}

TEST(Deadline, FitsPoll) {
  const int hours = Deadline::in(10000h).pollMilliseconds();
  EXPECT_EQ(hours, 1000000);  // poll again after that
  const int ms = Deadline::in(500ms).pollMilliseconds();
  EXPECT_GE(ms, 0);
  EXPECT_LE(ms, 500);
}

// A rest below a millisecond must not become a poll that does not wait: that would spin.
TEST(Deadline, RoundsUp) {
  for (int i = 0; i < 100; ++i) {
    const auto deadline = Deadline::in(500us);
    const int ms = deadline.pollMilliseconds();
    if (!deadline.passed()) {
      EXPECT_EQ(ms, 1);
    }
  }
}

}  // namespace
}  // namespace lockstep
