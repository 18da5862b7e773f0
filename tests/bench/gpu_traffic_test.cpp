#include "bench/gpu_traffic.hpp"

#include <gtest/gtest.h>

namespace lockstep::bench {
namespace {

Row allReduceOf(std::size_t bytes) {
  return {.op = Operation::allReduce,
          .type = DataType::f32,
          .reduction = Reduction::sum,
          .bytes = bytes,
          .count = bytes / 4,
          .streaming = {},
          .cached = {},
          .series = {}};
}

Series planned(const char* algorithm, const char* protocol) {
  Series series;
  series.plan.algorithm = algorithm;
  series.plan.protocol = protocol;
  return series;
}

TEST(GpuTraffic, TwoShotInPlaceReadsEveryInputAndWritesEveryOutputOnce) {
  const Traffic t = trafficOf(allReduceOf(4096), planned("two_shot", "zero_copy"), Mode::p2p, 4, 0);
  EXPECT_EQ(t.read, 4 * 4096);
  EXPECT_EQ(t.written, 4 * 4096);
}

TEST(GpuTraffic, OneShotOfTwoGoesThroughSlotsOrLinesTwiceAsLarge) {
  // Each reads its input to send it, and again with the peer's to reduce.
  const Traffic slots =
      trafficOf(allReduceOf(4096), planned("one_shot", "simple"), Mode::p2p, 2, 0);
  EXPECT_EQ(slots.read, 2 * 3 * 4096);
  EXPECT_EQ(slots.written, 2 * 2 * 4096);
  const Traffic lines = trafficOf(allReduceOf(4096), planned("one_shot", "ll"), Mode::p2p, 2, 0);
  EXPECT_EQ(lines.read, 2 * 4 * 4096);
  EXPECT_EQ(lines.written, 2 * 3 * 4096);
}

TEST(GpuTraffic, WhatIsForEveryoneIsWrittenForEach) {
  const Row row = allReduceOf(4096);
  const Series series = planned("one_shot", "simple");
  const Traffic p2p = trafficOf(row, series, Mode::p2p, 4, 0);
  const Traffic multicast = trafficOf(row, series, Mode::multicast, 4, 0);
  EXPECT_EQ(multicast.written, p2p.written);
}

TEST(GpuTraffic, WhatHasNoScheduleHasNone) {
  EXPECT_EQ(trafficOf(allReduceOf(64), planned("transfers", "by size"), Mode::p2p, 2, 0).total(),
            0);
}

TEST(GpuTraffic, BoundIsAtTheRateOfCopies) {
  // A copy of 1 GB/s reads and writes 2 GB/s.
  EXPECT_DOUBLE_EQ(memoryBound({.read = 1e6, .written = 1e6}, 1e9), 1000);
  EXPECT_EQ(memoryBound({.read = 1e6, .written = 1e6}, 0), 0);
}

}  // namespace
}  // namespace lockstep::bench
