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
  /// What measuring has taken so far, by the clock, and of that the time this rank had a core.
  double seconds = 0, coreSeconds = 0;
};

/// Data that streams: larger than the last cache's share of a core on common machines.
inline constexpr std::size_t kStreamBytes = std::size_t{32} << 20;
/// Data that stays in the second cache of any current core, with room for what else is in use.
inline constexpr std::size_t kCacheBytes = std::size_t{128} << 10;
/// Largest record: what the sealed channels use at most; smaller costs more per byte, larger leaves
/// the cache.
inline constexpr std::size_t kRateRecord = 16384;

/// What a message of so many bytes works on at the least, so that a call cannot be faster than the
/// rates on it: its own bytes, rounded up to a power of two, in the cache.
std::size_t cachedWorkingSet(std::size_t bytes);

/// Works for some milliseconds, to see whether this rank has its core: told to `group` only.
void tryCore(RateGroup& group);

/// Seal, open and copy of records (of kRateRecord bytes, or all of a smaller working set): one side
/// of each goes round a working set of that many bytes (a power of two), the other is a record in
/// the cache, as in a channel. Bytes of payload per second of a core at best; 0
/// for a rank that is not busy, and for `reduce`. `cipher` as Options::cipher.
Rates measureRates(RateGroup& group, const std::string& cipher, std::size_t workingSet);

/// Reducing `sources` arrays, which together are a working set of that many bytes, into one, in one
/// pass: source bytes per second of a core at best.
double measureReduceRate(RateGroup& group, DataType type, Reduction reduction, int sources,
                         std::size_t workingSet);

}  // namespace lockstep::bench
