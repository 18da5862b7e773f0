// Ring: a reduce-scatter and an all-gather, each passing chunks on to the next rank. The least
// bytes, and each rank talks to two others only; but 2(P-1) steps one after the other.
// (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", 2009.)
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeRing(const Shape& shape) {
  return describe(Collective::allReduce, "ring", shape, shape.worldSize);
}

Program ring(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const auto next = [&](Range r) { return via({rank, around(rank, 1, world)}, r); };
  const auto previous = [&](Range r) { return via({around(rank, -1, world), rank}, r); };
  Lane lane;

  // Reduce-scatter. Chunk c starts at rank c and is complete where it has been to all: at c - 1.
  lane.push_back(move({next(chunk(rank))}, {in(chunk(rank))}));
  for (int step = 1; step < world - 1; ++step) {
    const Range passing = chunk(around(rank, -step, world));
    lane.push_back(move({next(passing)}, {previous(passing), in(passing)}));
  }
  const Range mine = chunk(around(rank, 1, world));
  lane.push_back(move({out(mine), next(mine)}, {previous(mine), in(mine)}, true));

  // All-gather. What only passes through is forwarded as it came: sealed chunks stay sealed.
  for (int step = 0; step < world - 2; ++step) {
    const Range passing = chunk(around(rank, -step, world));
    lane.push_back(forward({next(passing), out(passing)}, previous(passing)));
  }
  const Range last = chunk(around(rank, 2, world));
  lane.push_back(move({out(last)}, {previous(last)}));
  return oneLane(lane);
}

}  // namespace

extern const Algorithm kAllreduceRing = {.name = "ring",
                                         .collective = Collective::allReduce,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeRing,
                                         .program = ring};

}  // namespace lockstep::schedule
