// How fast one rank does each part of a sealed call when nothing else is in its way: what the bound
// is made of. The only file of the harness that looks inside the library.
#pragma once

#include <functional>
#include <string>

#include "bench/result.hpp"

namespace lockstep::bench {

/// What all ranks do together while rates are measured.
struct RateGroup {
  /// This rank has a core to itself and measures; the others only keep step.
  bool busy = true;
  /// Lines the ranks up before each measurement, so that all cores are busy during it.
  std::function<void()> barrier;
};

/// Seal, open and copy, in records of kRateRecord bytes: one side of each streams through memory,
/// the other is a record in the cache, as in a channel. Bytes of payload per second, 0 for a rank
/// that is not busy. `cipher` as Options::cipher.
Rates measureRates(const RateGroup& group, const std::string& cipher);

/// Reducing `sources` arrays that stream from memory into one, in one pass: source bytes per
/// second.
double measureReduceRate(const RateGroup& group, DataType type, Reduction reduction, int sources);

/// Record size of the measurement: what the sealed channels use at most; smaller costs more per
/// byte, larger leaves the cache.
inline constexpr std::size_t kRateRecord = 16384;

}  // namespace lockstep::bench
