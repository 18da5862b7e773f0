// Direct: the root sends everyone its block.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::scatter, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  if (rank != shape.root) return oneLane({move({out(kWhole)}, {via({shape.root, rank}, kWhole)})});
  Lane lane;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({via({rank, q}, kWhole)}, {in(block(q))}));
  }
  if (!shape.inPlace) lane.push_back(move({out(kWhole)}, {in(block(rank))}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kScatterDirect = {.name = "direct",
                                         .collective = Collective::scatter,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeDirect,
                                         .program = direct};

}  // namespace lockstep::schedule
