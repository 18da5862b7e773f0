// Direct: everyone sends everyone its block, and reduces what comes in rank order. One step and, on
// a fully connected fabric, the least bytes.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::reduceScatter, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  Lane lane;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({via({rank, q}, block(q))}, {in(block(q))}));
  }
  const auto from = [&](int q) { return via({q, rank}, block(rank)); };
  lane.push_back(move({out(kWhole)}, inRankOrder(world, rank, in(block(rank)), from), true));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kReducescatterDirect = {.name = "direct",
                                               .collective = Collective::reduceScatter,
                                               .edges = Edges::channels,
                                               .rankOrder = true,
                                               .describe = describeDirect,
                                               .program = direct};

}  // namespace lockstep::schedule
