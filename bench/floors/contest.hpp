// Lockstep against the floors: the same sizes, in turn, in the same processes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/floors/floors.hpp"
#include "bench/floors/team.hpp"
#include "bench/statistics.hpp"
#include <lockstep/types.hpp>

namespace lockstep::floors {

/// A loop with a name and buffers to run on. `in` is filled, `out` is scratch.
struct Contender {
  std::string name;
  std::size_t minBytes, maxBytes;
  Loop* loop;
  const float* in;
  float* out;
};

/// One line of the table. Seconds are medians over the batches; a batch counts as its slower rank.
struct Standing {
  std::size_t bytes = 0;
  std::string floor;  ///< the fastest one's name
  double floorSeconds = 0;
  /// Exchange of a flag between the cores while this line was measured: it tells a virtual machine
  /// whose cores were moved apart from one whose cores share a cache.
  double flagSeconds = 0;
  bool compared = false;  ///< the rest holds only with a challenger
  double seconds = 0;
  bench::Ratio ratio;  ///< challenger / floor, of neighbouring batches
};

/// `bytes`: of the larger buffer. Verifies every floor that takes part at this size, finds the
/// three fastest in a short trial, measures them in turn with `challenger` (may be null) and
/// reports the fastest. All ranks at once, all get the result. Throws internal for a wrong
/// result.
Standing compete(Team& team, Collective op, const std::vector<Contender>& floors,
                 const Contender* challenger, std::size_t bytes, int samples);

}  // namespace lockstep::floors
