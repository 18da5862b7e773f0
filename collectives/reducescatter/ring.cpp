// Ring: a block goes around and everyone adds its part; it ends where it belongs. The least bytes
// and two neighbours only, in P-1 steps.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeRing(const Shape& shape) {
  return describe(Collective::reduceScatter, "ring", shape);
}

Program ring(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const auto next = [&](Range r) { return via({rank, around(rank, 1, world)}, r); };
  const auto previous = [&](Range r) { return via({around(rank, -1, world), rank}, r); };
  // The block of a rank starts at the rank after it.
  const Range first = block(around(rank, -1, world));
  Lane lane{move({next(first)}, {in(first)})};
  for (int step = 2; step < world; ++step) {
    const Range passing = block(around(rank, -step, world));
    lane.push_back(move({next(passing)}, {previous(passing), in(passing)}));
  }
  const Range mine = block(rank);
  lane.push_back(move({out(kWhole)}, {previous(mine), in(mine)}, true));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kReducescatterRing = {.name = "ring",
                                             .collective = Collective::reduceScatter,
                                             .edges = Edges::channels,
                                             .rankOrder = false,
                                             .describe = describeRing,
                                             .program = ring};

}  // namespace lockstep::schedule
