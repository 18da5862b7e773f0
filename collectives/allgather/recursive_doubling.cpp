// Recursive doubling: at each of log2(P) steps a rank and its partner exchange all they have. Ranks
// beyond the largest power of two hand their block to a host and get the whole from it.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeRecursiveDoubling(const Shape& shape) {
  return describe(Collective::allGather, "recursive_doubling", shape, 1, shape.worldSize);
}

/// A guest hands its block in and gets all of them.
Program guestProgram(const Shape& shape, int rank, int host) {
  Lane lane{
      move({via({rank, host}, block(rank))}, {in(kWhole)}),
      move({scratch(blocks(0, shape.worldSize))}, {via({host, rank}, blocks(0, shape.worldSize))})};
  for (int q = 0; q < shape.worldSize; ++q)
    if (q != rank || !shape.inPlace) lane.push_back(move({out(block(q))}, {scratch(block(q))}));
  return oneLane(std::move(lane));
}

Program recursiveDoubling(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const int core = coreRanks(world);
  if (rank >= core) return guestProgram(shape, rank, rank - core);

  const int guest = rank + core;
  Lane lane{move({scratch(block(rank))}, {in(kWhole)})};
  if (guest < world)
    lane.push_back(move({scratch(block(guest))}, {via({guest, rank}, block(guest))}));
  for (int distance = 1; distance < core; distance *= 2) {
    const int partner = rank ^ distance;
    const int mine = rank & ~(distance - 1), theirs = partner & ~(distance - 1);
    for (const Range& r : withGuests(mine, distance, core, world))
      lane.push_back(move({via({rank, partner}, r)}, {scratch(r)}));
    for (const Range& r : withGuests(theirs, distance, core, world))
      lane.push_back(move({scratch(r)}, {via({partner, rank}, r)}));
  }
  if (guest < world)
    lane.push_back(move({via({rank, guest}, blocks(0, world))}, {scratch(blocks(0, world))}));
  for (int q = 0; q < world; ++q)
    if (q != rank || !shape.inPlace) lane.push_back(move({out(block(q))}, {scratch(block(q))}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAllgatherRecursiveDoubling = {.name = "recursive_doubling",
                                                      .collective = Collective::allGather,
                                                      .edges = Edges::channels,
                                                      .rankOrder = false,
                                                      .describe = describeRecursiveDoubling,
                                                      .program = recursiveDoubling};

}  // namespace lockstep::schedule
