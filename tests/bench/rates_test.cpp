#include "bench/rates.hpp"

#include <gtest/gtest.h>

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
  group.busy = false;
  const int before = barriers;
  EXPECT_EQ(measureRates(group, "openssl", 8).seal, 0);
  EXPECT_EQ(barriers, before + 6);  // it keeps step
}

}  // namespace
}  // namespace lockstep::bench
