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
/// core take turns. What it reduces is the least any algorithm can: the message itself, read once
/// (each of P ranks reduces P inputs of 1/P of it; a reduce-scatter's P blocks are the message);
/// where one rank reduces whole messages, those of all. Where there is a root, ranks differ: one
/// seals most and another opens most, at the same time, and the others have less to do; so only the
/// longer of the two counts, once. `rates`: of the row; with those of streaming data, a message
/// that stays in the caches can be faster than this, with the cached ones none can.
Bound boundOf(const Row& row, const Series& series, const Rates& rates, int ranks, int cores);

}  // namespace lockstep::bench
