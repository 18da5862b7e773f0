// What a call reads and writes in the memory of a GPU that all ranks share, by its schedule: there
// no link is the limit, so memory is. Looks inside the library, for schedules.
#pragma once

#include "bench/result.hpp"

namespace lockstep::bench {

/// Bytes of one call, of all ranks together.
struct Traffic {
  double read = 0, written = 0;
  double total() const { return read + written; }
};

/// Every operand of every operation once: inputs, slots (lines of the protocol ll are twice their
/// data) and outputs; not the products of a premultiplied sum, a tile of which fits a cache. Slots
/// may stay in the cache of the GPU, so memory may see less. Zeros for what has no schedule of that
/// name.
Traffic trafficOf(const Row& row, const Series& series, Mode mode, int ranks, int root);

/// Microseconds that a memory needs for it at the rate of its own copies, which read and write:
/// (read + written) / (2 x copied bytes per second). 0 where no rate is known.
double memoryBound(const Traffic& traffic, double copiedPerSecond);

}  // namespace lockstep::bench
