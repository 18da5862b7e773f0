// Finding rings that run at once, at a given bandwidth each.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/search/hops.hpp"

namespace lockstep::topology {

/// A ring, by positions among the GPUs and ports of Hops. `in` and `out` are kNone inside of one
/// machine, where it goes on from the last GPU to the first.
struct Round {
  std::vector<int> gpus;
  int in = kNone;
  int out = kNone;
};

struct Wish {
  double bandwidth = 0;   ///< of each ring, bytes/s
  int rings = 1;          ///< no more than these
  bool mirrored = false;  ///< by twos, the second through the same GPUs backwards
};

/// How much a search may still look at: uses of segments. Counted, never timed, so that the same
/// graph has the same answer on every machine.
struct Budget {
  std::int64_t left = 0;
  bool spent() const { return left <= 0; }
};

struct Packing {
  std::vector<Round> rounds;  ///< as many as it found
  bool hopeless = false;      ///< not even one ring has this bandwidth: all were tried
};

/// Ring after ring, each by depth-first search through what the ones before leave. From each GPU
/// it goes to the nearest first, and among those to the next in number (seed 0) or by lot: packings
/// that fail are worth another try with another seed.
Packing pack(const Hops& hops, const Wish& wish, std::uint64_t seed, Budget& budget);

}  // namespace lockstep::topology
