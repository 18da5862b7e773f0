// Direct: everyone sends to the root, which reduces in rank order.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::reduce, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  if (rank != shape.root) return oneLane({move({via({rank, shape.root}, kWhole)}, {in(kWhole)})});
  const auto from = [&](int q) { return via({q, rank}, kWhole); };
  return oneLane({move({out(kWhole)}, inRankOrder(shape.worldSize, rank, in(kWhole), from), true)});
}

}  // namespace

extern const Algorithm kReduceDirect = {.name = "direct",
                                        .collective = Collective::reduce,
                                        .edges = Edges::channels,
                                        .rankOrder = true,
                                        .describe = describeDirect,
                                        .program = direct};

}  // namespace lockstep::schedule
