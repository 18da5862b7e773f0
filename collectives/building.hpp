// What generators share: the shape of a description, and how they count ranks.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "collectives/registry.hpp"

namespace lockstep::schedule::building {

/// Chunk `index` of the tile; the usual cut of a block has one chunk per rank.
inline Range chunk(int index) {
  return {static_cast<std::uint32_t>(index), 1};
}

/// Block `index` of a buffer, where a tile's part of a block is one chunk.
inline Range block(int index) {
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

inline Schedule describe(Collective collective, std::string_view name, const Shape& shape,
                         int chunks = 1, int scratchChunks = 0) {
  return {.name = std::string(name),
          .collective = collective,
          .shape = shape,
          .chunks = static_cast<std::uint32_t>(chunks),
          .scratchChunks = static_cast<std::uint32_t>(scratchChunks),
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

/// World size 1 of a collective that reduces nothing: a copy, if the buffers are two.
inline Program aloneCopying(const Shape& shape) {
  return shape.inPlace ? oneLane({}) : oneLane({move({out(kWhole)}, {in(kWhole)})});
}

/// A lane between exposing my memory and being done with that of others.
inline Program exposed(Lane inside, Lane after = {}) {
  Lane lane{sync(OpKind::expose), sync(OpKind::acquire)};
  lane.insert(lane.end(), inside.begin(), inside.end());
  lane.push_back(sync(OpKind::release));
  lane.push_back(sync(OpKind::close));
  lane.insert(lane.end(), after.begin(), after.end());
  return oneLane(std::move(lane));
}

/// What ranks 0, 1, .., P-1 contribute, in that order: `mine` at my place, `theirs(q)` at others'.
template <class Theirs>
std::vector<Operand> inRankOrder(int worldSize, int rank, const Operand& mine, Theirs theirs) {
  std::vector<Operand> result;
  result.reserve(static_cast<std::size_t>(worldSize));
  for (int q = 0; q < worldSize; ++q) result.push_back(q == rank ? mine : theirs(q));
  return result;
}

}  // namespace lockstep::schedule::building
