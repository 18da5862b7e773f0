// Sets of ranks, one bit each, and how messages speak of them.
#pragma once

#include <cstdint>
#include <string>

namespace lockstep {

/// Ranks of one communicator at most: a set of them is one 64-bit word.
inline constexpr int kMaxWorld = 64;

/// Bit r: rank r.
using RankSet = std::uint64_t;

constexpr RankSet rankBit(int rank) {
  return RankSet{1} << rank;
}
/// Ranks 0 to worldSize - 1.
constexpr RankSet allRanks(int worldSize) {
  return ~RankSet{0} >> (kMaxWorld - worldSize);
}

/// "rank 3", "ranks 2 and 5", "ranks 0, 2 and 5"; "no rank" for the empty set.
std::string describe(RankSet ranks);

/// "have" or "has", to follow what describe(ranks) wrote.
const char* have(RankSet ranks);

}  // namespace lockstep
