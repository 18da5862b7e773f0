// Direct: everyone sends everyone its block, all at once.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::allToAll, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  Lane lane;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({via({rank, q}, kWhole)}, {in(block(q))}));
  }
  if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(block(rank))}));
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, -step, world);
    lane.push_back(move({out(block(q))}, {via({q, rank}, kWhole)}));
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAlltoallDirect = {.name = "direct",
                                          .collective = Collective::allToAll,
                                          .edges = Edges::channels,
                                          .rankOrder = false,
                                          .describe = describeDirect,
                                          .program = direct};

}  // namespace lockstep::schedule
