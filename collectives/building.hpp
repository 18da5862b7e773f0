// What generators share: the shape of a description, and how they count chunks, blocks and ranks.
#pragma once

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "collectives/registry.hpp"

namespace lockstep::schedule::building {

/// Chunk `index` of the tile; the usual cut of a block has one chunk per rank.
inline Range chunk(int index) {
  return {static_cast<std::uint32_t>(index), 1};
}

/// `count` blocks of a buffer from `first` on, where a tile's part of a block is one chunk.
inline Range blocks(int first, int count) {
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(count)};
}
inline Range block(int index) {
  return blocks(index, 1);
}

/// The first `chunks` chunks of the tile.
inline Range firstChunks(int chunks) {
  return {0, static_cast<std::uint32_t>(chunks)};
}

/// The whole tile, where it is one chunk.
inline constexpr Range kWhole{0, 1};

/// What the messages of a barrier carry.
inline constexpr Range kNothing{0, 0};

/// The rank (or chunk) `steps` further around the ring; `steps` may be negative, above -worldSize.
inline int around(int rank, int steps, int worldSize) {
  return (rank + steps + worldSize) % worldSize;
}

// Algorithms that halve or double need a power of two. The ranks beyond the largest one below the
// world size, the guests, each leave their part to a host: rank r to r - coreRanks.

/// Ranks that take part themselves.
inline int coreRanks(int worldSize) {
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(worldSize)));
}

/// The blocks of core ranks [first, first + size), and those of their guests.
inline std::vector<Range> withGuests(int first, int size, int core, int worldSize) {
  std::vector<Range> ranges{blocks(first, size)};
  const int guests = std::min(core + first + size, worldSize) - (core + first);
  if (guests > 0) ranges.push_back(blocks(core + first, guests));
  return ranges;
}

// A binomial tree whose places are counted from the root: a place's parent lacks its lowest bit,
// its children have one more bit below that.

inline int binomialParent(int place) {
  return place - (place & -place);
}

/// The nearest, with the smallest subtree, first.
inline std::vector<int> binomialChildren(int place, int worldSize) {
  std::vector<int> children;
  for (int bit = 1; place + bit < worldSize && (place & bit) == 0; bit *= 2)
    children.push_back(place + bit);
  return children;
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

inline Schedule describeExposed(Collective collective, std::string_view name, const Shape& shape,
                                int chunks = 1, int scratchChunks = 0) {
  Schedule schedule = describe(collective, name, shape, chunks, scratchChunks);
  schedule.exposes = true;
  return schedule;
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
