#include "bench/rates.hpp"

#include <thread>

#include <gtest/gtest.h>
#include <sched.h>

namespace lockstep::bench {
namespace {

TEST(Rates, WorkingSetsHoldTheMessageAndStayInTheCache) {
  EXPECT_EQ(cachedWorkingSet(1), 1u);
  EXPECT_EQ(cachedWorkingSet(8), 8u);
  EXPECT_EQ(cachedWorkingSet(1000), 1024u);
  EXPECT_EQ(cachedWorkingSet(std::size_t{1} << 30), kCacheBytes);
}

TEST(Rates, AreMeasuredForEveryWorkingSetByThoseWhoAreBusy) {
  int barriers = 0;
  RateGroup group{true, [&] { ++barriers; }};
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{8}, std::size_t{4096}, kCacheBytes}) {
    const Rates rates = measureRates(group, "openssl", bytes);
    for (const double rate : {rates.seal, rates.open, rates.copy}) EXPECT_GT(rate, 1e5) << bytes;
    for (const int sources : {2, 3, 64})
      EXPECT_GT(measureReduceRate(group, DataType::f64, Reduction::avg, sources, bytes), 1e6);
  }
  EXPECT_GT(group.coreSeconds, 0);
  EXPECT_LT(group.coreSeconds, 1.1 * group.seconds);  // one rank has one core at most
  group.busy = false;
  const int before = barriers;
  EXPECT_EQ(measureRates(group, "openssl", 8).seal, 0);
  EXPECT_EQ(barriers, before + 6);  // it keeps step
}

/// Two threads on one processor: each has it half of the time.
TEST(Rates, TellHowMuchOfACoreTheyHad) {
  cpu_set_t before, here;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&here);
  CPU_SET(sched_getcpu(), &here);
  ASSERT_EQ(sched_setaffinity(0, sizeof here, &here), 0);
  RateGroup group{true, [] {}};
  {
    const std::jthread other([](const std::stop_token& stop) {
      while (!stop.stop_requested()) continue;
    });
    measureReduceRate(group, DataType::f32, Reduction::sum, 2, kStreamBytes);
  }
  sched_setaffinity(0, sizeof before, &before);
  EXPECT_GT(group.coreSeconds, 0);
  EXPECT_LT(group.coreSeconds, 0.9 * group.seconds);
}

}  // namespace
}  // namespace lockstep::bench
