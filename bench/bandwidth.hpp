// Bandwidths as the field defines them (NCCL tests, doc/PERFORMANCE.md).
#pragma once

#include <cstddef>

#include <lockstep/types.hpp>

namespace lockstep::bench {

/// Bytes of the message per time: GB/s, for a time in microseconds.
constexpr double algorithmBandwidth(std::size_t bytes, double microseconds) {
  return microseconds > 0 ? static_cast<double>(bytes) / microseconds / 1000 : 0;
}

/// What algorithm bandwidth is multiplied by to compare it with the speed of the links, whatever
/// the number of ranks: an all-reduce moves 2(P-1)/P of the message in and out of each rank.
constexpr double busFactor(Collective collective, int worldSize) {
  return collective == Collective::allReduce ? 2.0 * (worldSize - 1) / worldSize : 0;
}

}  // namespace lockstep::bench
