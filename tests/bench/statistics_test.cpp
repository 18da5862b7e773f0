#include "bench/statistics.hpp"

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include <lockstep/error.hpp>

namespace lockstep::bench {
namespace {

TEST(Quantile, KnownValues) {
  const std::vector<double> samples{4, 1, 3, 2};  // type 7: position q * (n - 1)
  EXPECT_DOUBLE_EQ(quantile(samples, 0), 1);
  EXPECT_DOUBLE_EQ(quantile(samples, 1), 4);
  EXPECT_DOUBLE_EQ(median(samples), 2.5);
  EXPECT_DOUBLE_EQ(quantile(samples, 0.25), 1.75);
  EXPECT_DOUBLE_EQ(quantile(std::vector<double>{7}, 0.99), 7);
  EXPECT_TRUE(std::isnan(median(std::vector<double>{})));
}

TEST(MedianUncertainty, ShrinksWithSamplesAndIsZeroForConstants) {
  std::vector<double> few, many;
  for (int i = 0; i < 16; ++i) few.push_back(100 + i % 4);
  for (int i = 0; i < 1600; ++i) many.push_back(100 + i % 4);
  EXPECT_LE(medianUncertainty(many), medianUncertainty(few));
  EXPECT_DOUBLE_EQ(medianUncertainty(std::vector<double>(20, 5.0)), 0);
  EXPECT_EQ(medianUncertainty(std::vector<double>(5, 5.0)),
            std::numeric_limits<double>::infinity());
}

TEST(MedianUncertainty, TakesTheOrderStatisticsOfTheBinomial) {
  std::vector<double> samples;  // 1 to 100, high and low in turn: nothing lasts
  for (int i = 0; i < 50; ++i) samples.insert(samples.end(), {50.0 - i, 51.0 + i});
  // n/2 -+ 1.96 sqrt(100)/2 = 40.2 and 59.8: elements 40 and 60 of the sorted samples, 41 and 61.
  EXPECT_DOUBLE_EQ(medianUncertainty(samples), (61.0 - 41.0) / 2 / 50.5);
}

TEST(RatioOfMedians, OfEqualSamplesIsOne) {
  const std::vector<double> a{3, 1, 2, 5, 4, 6, 8};
  const Ratio ratio = ratioOfMedians(a, a);
  EXPECT_DOUBLE_EQ(ratio.value, 1);
  EXPECT_DOUBLE_EQ(ratio.interval.low, 1);
  EXPECT_DOUBLE_EQ(ratio.interval.high, 1);
}

TEST(RatioOfMedians, WhatPairsShareCancels) {
  std::vector<double> a, b;
  for (int i = 0; i < 50; ++i) {
    const double disturbance = 1 + (i * 7 % 13);
    a.push_back(2 * disturbance);
    b.push_back(disturbance);
  }
  const Ratio ratio = ratioOfMedians(a, b);
  EXPECT_DOUBLE_EQ(ratio.value, 2);
  EXPECT_DOUBLE_EQ(ratio.interval.low, 2);
  EXPECT_DOUBLE_EQ(ratio.interval.high, 2);
}

TEST(RatioOfMedians, IntervalHoldsTheValueAndRepeats) {
  std::vector<double> a, b;
  for (int i = 0; i < 40; ++i) {
    a.push_back(10 + i * 37 % 11);
    b.push_back(5 + i * 17 % 7);
  }
  const Ratio first = ratioOfMedians(a, b), second = ratioOfMedians(a, b);
  EXPECT_LE(first.interval.low, first.value);
  EXPECT_GE(first.interval.high, first.value);
  EXPECT_LT(first.interval.low, first.interval.high);
  EXPECT_EQ(first.interval.low, second.interval.low);
  EXPECT_EQ(first.interval.high, second.interval.high);
}

/// Times whose disturbances last: first-order autoregressive (Gaussian enough: a sum of uniforms).
std::vector<double> correlatedTimes(std::mt19937_64& random, std::size_t count, double memory) {
  std::vector<double> times;
  double disturbance = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double noise = -6;
    for (int k = 0; k < 12; ++k) noise += static_cast<double>(random() >> 11) * 0x1p-53;
    disturbance = memory * disturbance + noise * std::sqrt(1 - memory * memory);
    times.push_back(std::exp(0.1 * disturbance));
  }
  return times;
}

/// Share of 95 % intervals that hold the true ratio, which is 1.
double coverage(double memory, std::size_t block) {
  constexpr int kTrials = 400;
  constexpr std::size_t kSamples = 120;
  std::mt19937_64 random(7);
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto a = correlatedTimes(random, kSamples, memory);
    const auto b = correlatedTimes(random, kSamples, memory);
    const Interval interval = ratioOfMedians(a, b, {.times = 200, .block = block}).interval;
    held += interval.low <= 1 && 1 <= interval.high;
  }
  return static_cast<double>(held) / kTrials;
}

/// Share of 95 % intervals of the median that hold the true one, which is 1.
double coverageOfMedian(double memory) {
  constexpr int kTrials = 400;
  std::mt19937_64 random(11);
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const auto times = correlatedTimes(random, 160, memory);
    const double middle = median(times);
    held += std::abs(1 - middle) <= medianUncertainty(times) * middle;
  }
  return static_cast<double>(held) / kTrials;
}

TEST(MedianUncertainty, CoversWhatLastsFromRoundToRound) {
  EXPECT_GT(coverageOfMedian(0.0), 0.93);
  EXPECT_GT(coverageOfMedian(0.7), 0.85);  // 0.68 if the samples were taken as independent
}

TEST(RatioOfMedians, BlocksCoverWhatLastsFromRoundToRound) {
  EXPECT_GT(coverage(0.0, 0), 0.9);  // nothing lasts: blocks do no harm
  const double single = coverage(0.7, 1), blocks = coverage(0.7, 0);
  EXPECT_LT(single, 0.75);
  EXPECT_GT(blocks, 0.8);
}

TEST(RatioOfMedians, FewSamplesHaveNoInterval) {
  const std::vector<double> a{2, 2, 2}, b{1, 1, 1};
  EXPECT_DOUBLE_EQ(ratioOfMedians(a, b).value, 2);
  EXPECT_TRUE(std::isinf(ratioOfMedians(a, b).interval.high));
}

TEST(MedianOfRatios, WhatPairsShareCancels) {
  std::vector<double> a, b;  // the machine's speed jumps, the ratio stays
  for (int i = 0; i < 15; ++i) {
    b.push_back(i % 3 == 0 ? 40 : 1);
    a.push_back(1.5 * b.back());
  }
  const Ratio ratio = medianOfRatios(a, b);
  EXPECT_DOUBLE_EQ(ratio.value, 1.5);
  EXPECT_DOUBLE_EQ(ratio.interval.low, 1.5);
  EXPECT_DOUBLE_EQ(ratio.interval.high, 1.5);
}

TEST(MedianOfRatios, TakesTheOrderStatisticsOfTheBinomial) {
  std::vector<double> a;
  for (int i = 1; i <= 100; ++i) a.push_back(i);
  const Ratio ratio = medianOfRatios(a, std::vector<double>(100, 1.0));
  EXPECT_DOUBLE_EQ(ratio.value, 50.5);
  EXPECT_DOUBLE_EQ(ratio.interval.low, 41);  // as MedianUncertainty
  EXPECT_DOUBLE_EQ(ratio.interval.high, 61);
  EXPECT_THROW(medianOfRatios(a, std::vector<double>(99, 1.0)), Error);
}

TEST(RatioOfMedians, RefusesUnpairedSamples) {
  EXPECT_THROW(ratioOfMedians(std::vector<double>{1}, std::vector<double>{1, 2}), Error);
  EXPECT_THROW(ratioOfMedians(std::vector<double>{}, std::vector<double>{}), Error);
}

}  // namespace
}  // namespace lockstep::bench
