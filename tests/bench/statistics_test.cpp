#include "bench/statistics.hpp"

#include <cmath>
#include <limits>

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
  std::vector<double> samples;
  for (int i = 1; i <= 100; ++i) samples.push_back(i);
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

TEST(RatioOfMedians, RefusesUnpairedSamples) {
  EXPECT_THROW(ratioOfMedians(std::vector<double>{1}, std::vector<double>{1, 2}), Error);
  EXPECT_THROW(ratioOfMedians(std::vector<double>{}, std::vector<double>{}), Error);
}

}  // namespace
}  // namespace lockstep::bench
