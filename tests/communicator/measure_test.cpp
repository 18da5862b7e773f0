// What is concluded from the times that a new communicator measures.
#include "communicator/measure.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "communicator/tuning.hpp"

namespace lockstep {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

SlotTimes timesOf(std::array<double, 3> through, std::array<double, 3> past,
                  std::array<double, 3> attached) {
  SlotTimes times;
  for (std::size_t s = 0; s < times.seconds.size(); ++s)
    times.seconds[s] = {through[s], past[s], attached[s]};
  return times;
}

TEST(Measure, SlotsAreStreamedWhereThatIsClearlyFaster) {
  const std::array<double, 3> never{kNever, kNever, kNever};
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, {1, 2, 4}, never)).streamFrom, 1024U);
  const auto kThroughCache = host::Surroundings::kNeverStream;
  EXPECT_EQ(conclude(timesOf({1, 2, 4}, {2, 4, 8}, never)).streamFrom, kThroughCache);
  EXPECT_EQ(conclude(timesOf({1, 2, 4}, {0.95, 1.9, 3.8}, never)).streamFrom, kThroughCache);
}

TEST(Measure, AttachBeginsWhereItStaysFasterThanTheBetterSlots) {
  const std::array<double, 3> slow{9, 9, 9};
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 2, 4})).attachAbove, 8192U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {3, 2, 4})).attachAbove, 16384U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 5, 4})).attachAbove, 32768U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {1, 2, 9})).attachAbove, 65536U);
  EXPECT_EQ(conclude(timesOf(slow, {1, 2, 3}, {2, 3, 4})).attachAbove, 65536U);
  EXPECT_EQ(conclude(timesOf({2, 4, 8}, slow, {kNever, kNever, kNever})).attachAbove, 65536U);
}

TEST(Measure, MovesTheRuleOfTheTable) {
  const auto protocolOf = [](const TuningTable& table, std::size_t bytes) {
    return table.select({.worldSize = 2, .bytes = bytes, .direct = false, .zeroCopy = true}, "", "")
        .protocol;
  };
  TuningTable table = TuningTable::builtIn();
  EXPECT_EQ(protocolOf(table, 65536), HostProtocol::simple);
  table.attachPaysAbove(16384);
  EXPECT_EQ(protocolOf(table, 16384), HostProtocol::simple);
  EXPECT_EQ(protocolOf(table, 16388), HostProtocol::zeroCopy);
}

}  // namespace
}  // namespace lockstep
