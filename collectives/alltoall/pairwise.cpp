// Pairwise: at each step everyone exchanges blocks with one partner, and who is whose partner is
// mutual (r and s - r, mod P), so it can be done in place and no rank has more than one peer at a
// time.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describePairwise(const Shape& shape) {
  return describe(Collective::allToAll, "pairwise", shape);
}

Program pairwise(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  Lane lane;
  for (int step = 0; step < world; ++step) {
    const int partner = around(step, -rank, world);
    if (partner == rank) {
      if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(block(rank))}));
      continue;
    }
    lane.push_back(move({via({rank, partner}, kWhole)}, {in(block(partner))}));
    lane.push_back(move({out(block(partner))}, {via({partner, rank}, kWhole)}));
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAlltoallPairwise = {.name = "pairwise",
                                            .collective = Collective::allToAll,
                                            .edges = Edges::channels,
                                            .rankOrder = false,
                                            .describe = describePairwise,
                                            .program = pairwise};

}  // namespace lockstep::schedule
