// Ring: blocks are passed on from rank to rank. The least bytes and two neighbours only, in P-1
// steps; sealed, a block is opened by each rank but sealed once if the key is the group's.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeRing(const Shape& shape) {
  return describe(Collective::allGather, "ring", shape);
}

Program ring(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const auto next = [&](Range r) { return via({rank, around(rank, 1, world)}, r); };
  const auto previous = [&](Range r) { return via({around(rank, -1, world), rank}, r); };
  Lane lane{move({next(block(rank))}, {in(kWhole)})};
  if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(kWhole)}));
  for (int step = 1; step < world - 1; ++step) {
    const Range passing = block(around(rank, -step, world));
    lane.push_back(forward({next(passing), out(passing)}, previous(passing)));
  }
  const Range last = block(around(rank, 1, world));
  lane.push_back(move({out(last)}, {previous(last)}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAllgatherRing = {.name = "ring",
                                         .collective = Collective::allGather,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeRing,
                                         .program = ring};

}  // namespace lockstep::schedule
