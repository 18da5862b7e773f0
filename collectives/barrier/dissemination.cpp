// Dissemination: at step k everyone tells the rank k further on, and waits for the one k before.
// After ceil(log2(P)) steps everyone has heard of everyone. (Hensgen, Finkel and Manber, "Two
// algorithms for barrier synchronization", 1988.)
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDissemination(const Shape& shape) {
  return describe(Collective::barrier, "dissemination", shape, 0);
}

Program dissemination(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  Lane lane;
  for (int step = 1; step < world; step *= 2) {
    const int to = around(rank, step, world), from = around(rank, -step, world);
    lane.push_back(move({via({rank, to}, kNothing)}, {in(kNothing)}));
    lane.push_back(move({out(kNothing)}, {via({from, rank}, kNothing)}));
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kBarrierDissemination = {.name = "dissemination",
                                                .collective = Collective::barrier,
                                                .edges = Edges::channels,
                                                .rankOrder = false,
                                                .describe = describeDissemination,
                                                .program = dissemination};

}  // namespace lockstep::schedule
