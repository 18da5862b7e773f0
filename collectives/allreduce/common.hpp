// What the all-reduce generators share: the shape of a description, and how they count ranks.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "collectives/registry.hpp"

namespace lockstep::schedule::allreduce {

/// Chunk `index` of the tile; the usual cut has one chunk per rank.
inline Range chunk(int index) {
  return {static_cast<std::uint32_t>(index), 1};
}

/// The first `chunks` chunks of the tile.
inline Range firstChunks(int chunks) {
  return {0, static_cast<std::uint32_t>(chunks)};
}

/// The whole tile, where it is one chunk.
inline constexpr Range kWhole{0, 1};

/// The rank (or chunk) `steps` further around the ring; `steps` may be negative, above -worldSize.
inline int around(int rank, int steps, int worldSize) {
  return (rank + steps + worldSize) % worldSize;
}

inline Schedule describe(std::string_view name, const Shape& shape, int chunks) {
  return {.name = std::string(name),
          .collective = Collective::allReduce,
          .shape = shape,
          .chunks = static_cast<std::uint32_t>(chunks),
          .scratchChunks = 0,
          .exposes = false,
          .programs = {}};
}

inline Program oneLane(Lane lane) {
  return {.lanes = {std::move(lane)}};
}

/// World size 1, in a tile of one chunk.
inline Program alone() {
  return oneLane({move({out(kWhole)}, {in(kWhole)}, true)});
}

/// What ranks 0, 1, .., P-1 contribute, in that order: `mine` at my place, `theirs(q)` at others'.
template <class Theirs>
std::vector<Operand> inRankOrder(int worldSize, int rank, const Operand& mine, Theirs theirs) {
  std::vector<Operand> result;
  result.reserve(static_cast<std::size_t>(worldSize));
  for (int q = 0; q < worldSize; ++q) result.push_back(q == rank ? mine : theirs(q));
  return result;
}

}  // namespace lockstep::schedule::allreduce
