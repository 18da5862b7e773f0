// What measuring at creation finds out (measure.cpp).
#pragma once

#include <array>
#include <cstddef>

#include "executor/host/run.hpp"

namespace lockstep {

/// Seconds of an all-reduce by size and by the way it is done; infinite where that is impossible.
struct SlotTimes {
  static constexpr std::array<std::size_t, 3> kSizes{16384, 32768, 65536};
  enum Way : std::size_t { throughCache, pastCache, attached, kWays };
  std::array<std::array<double, kWays>, kSizes.size()> seconds{};
};

struct SlotFacts {
  /// Messages this large are written past the cache when they go into slots.
  std::size_t streamFrom = host::Surroundings::kNeverStream;
  /// Calls larger than this use cross-memory attach, where it is possible.
  std::size_t attachAbove = SlotTimes::kSizes.back();
};

SlotFacts conclude(const SlotTimes& times);

}  // namespace lockstep
