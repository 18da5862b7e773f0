// Two-shot: rank r reduces chunk r of everyone and gives everyone the result. Two steps and the
// least bytes an all-reduce can move, so the choice for large messages on a fully connected fabric.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeTwoShot(const Shape& shape) {
  return describe(Collective::allReduce, "two_shot", shape, shape.worldSize);
}

Program twoShot(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  Lane lane;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({via({rank, q}, chunk(q))}, {in(chunk(q))}));
  }

  const Range mine = chunk(rank);
  const Operand result = via({rank, kEveryone}, mine);
  const auto contributions = inRankOrder(world, rank, in(mine), [&](int q) {
    return via({q, rank}, mine);
  });
  lane.push_back(move({out(mine), result}, contributions, true));

  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({out(chunk(q))}, {via({q, kEveryone}, chunk(q))}));
  }
  return oneLane(lane);
}

}  // namespace

extern const Algorithm kAllreduceTwoShot = {.name = "two_shot",
                                            .collective = Collective::allReduce,
                                            .edges = Edges::channels,
                                            .rankOrder = true,
                                            .describe = describeTwoShot,
                                            .program = twoShot};

}  // namespace lockstep::schedule
