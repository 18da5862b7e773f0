// What a sealed call must cost at least, from what each part costs by itself.
#pragma once

#include "bench/result.hpp"

namespace lockstep::bench {

/// Microseconds.
struct Bound {
  double crypto = 0;  ///< AES-GCM alone
  double copies = 0;  ///< across the trust boundary: no AEAD touches shared memory
  double reduce = 0;  ///< of opened data
  double total() const { return crypto + copies + reduce; }
};

/// Per rank: sealed / seal rate + opened / open rate, one copy of every sealed and every opened
/// byte, and the reduction of what it reduces; all times ceil(ranks / cores), as ranks that share a
/// core take turns. Bytes are those of the busiest rank. What it reduces is the least any algorithm
/// can: the message itself, read once (each of P ranks reduces P inputs of 1/P of it); a one-shot
/// reads the messages of all. `rates`: of the row; with those of streaming data, a message that
/// stays in the caches can be faster than this, with the cached ones none can.
Bound boundOf(const Row& row, const Series& series, const Rates& rates, int ranks, int cores);

}  // namespace lockstep::bench
