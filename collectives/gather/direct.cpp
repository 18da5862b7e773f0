// Direct: everyone sends its block to the root.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::gather, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  if (rank != shape.root) return oneLane({move({via({rank, shape.root}, kWhole)}, {in(kWhole)})});
  Lane lane;
  if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(kWhole)}));
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({out(block(q))}, {via({q, rank}, kWhole)}));
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kGatherDirect = {.name = "direct",
                                        .collective = Collective::gather,
                                        .edges = Edges::channels,
                                        .rankOrder = false,
                                        .describe = describeDirect,
                                        .program = direct};

}  // namespace lockstep::schedule
