// What the collectives besides all-reduce come to with two ranks: one thing is sent, one received,
// one kept.
#pragma once

#include <cstddef>

#include <lockstep/types.hpp>

namespace lockstep::floors {

/// One rank's part of a call. Elements; what a rank does not do is 0 of them.
struct Transfer {
  const float* sent = nullptr;  ///< to the peer
  std::size_t sends = 0;
  const float* own = nullptr;  ///< added to what comes; null: what comes is the result
  float* received = nullptr;
  std::size_t receives = 0;
  const float* kept = nullptr;  ///< copied to `keptAt`, on this rank
  float* keptAt = nullptr;
  std::size_t keeps = 0;
};

/// Of broadcast (root 0), allGather, allToAll or reduceScatter, in blocks of `count` elements.
Transfer transferOf(Collective op, int rank, const float* in, float* out, std::size_t count);

/// The input of element i on a rank: small whole numbers, so that sums are exact.
inline float patternAt(std::size_t i, int rank) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 13) % 1001);
}
/// Element i of the output of a rank after a call on such inputs (of all-reduce too, which alone
/// may have more than two ranks).
float expectedAt(Collective op, int rank, int ranks, std::size_t count, std::size_t i);

}  // namespace lockstep::floors
