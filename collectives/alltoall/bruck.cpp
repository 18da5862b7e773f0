// Bruck: ceil(log2(P)) steps instead of P-1, at the price of blocks that travel by way of others. A
// block that must go d ranks on goes k ranks on at step k for each bit k of d; all of a step are
// packed in one message. (Bruck et al. 1997, see allgather/bruck.cpp.)
#include <algorithm>

#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

/// Most blocks of a message: distances below `world` that have a certain bit.
int mostPacked(int world) {
  int most = 0;
  for (int bit = 1; bit < world; bit *= 2) {
    int packed = 0;
    for (int d = 1; d < world; ++d) packed += (d & bit) != 0 ? 1 : 0;
    most = std::max(most, packed);
  }
  return most;
}

/// scratch: [0, P) what has to go d ranks on; then room to pack, and to receive.
Schedule describeBruck(const Shape& shape) {
  const int world = shape.worldSize;
  return describe(Collective::allToAll, "bruck", shape, 1,
                  world == 1 ? 0 : world + 2 * mostPacked(world));
}

Program bruck(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const int packing = world, receiving = world + mostPacked(world);
  Lane lane;
  for (int d = 0; d < world; ++d)
    lane.push_back(move({scratch(block(d))}, {in(block(around(rank, d, world)))}));
  for (int bit = 1; bit < world; bit *= 2) {
    std::vector<int> moving;
    for (int d = bit; d < world; ++d)
      if ((d & bit) != 0) moving.push_back(d);
    const auto count = static_cast<int>(moving.size());
    const Range message = blocks(0, count);
    for (int i = 0; i < std::ssize(moving); ++i)
      lane.push_back(move({scratch(block(packing + i))}, {scratch(block(moving[i]))}));
    const int to = around(rank, bit, world), from = around(rank, -bit, world);
    lane.push_back(move({via({rank, to}, message)}, {scratch(blocks(packing, count))}));
    lane.push_back(move({scratch(blocks(receiving, count))}, {via({from, rank}, message)}));
    for (int i = 0; i < std::ssize(moving); ++i)
      lane.push_back(move({scratch(block(moving[i]))}, {scratch(block(receiving + i))}));
  }
  for (int d = 0; d < world; ++d)
    lane.push_back(move({out(block(around(rank, -d, world)))}, {scratch(block(d))}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAlltoallBruck = {.name = "bruck",
                                         .collective = Collective::allToAll,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeBruck,
                                         .program = bruck};

}  // namespace lockstep::schedule
