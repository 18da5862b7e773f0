// One-shot: everyone gets everyone's input and reduces it alone. One step, so the fastest for small
// messages; P-1 times the bytes, so the slowest for large ones.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeOneShot(const Shape& shape) {
  return describe(Collective::allReduce, "one_shot", shape, 1);
}

Program oneShot(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const auto from = [](int writer) { return via({writer, kEveryone}, kWhole); };
  return oneLane({
      move({from(rank)}, {in(kWhole)}),
      move({out(kWhole)}, inRankOrder(shape.worldSize, rank, in(kWhole), from), true),
  });
}

}  // namespace

extern const Algorithm kAllreduceOneShot = {.name = "one_shot",
                                            .collective = Collective::allReduce,
                                            .edges = Edges::channels,
                                            .rankOrder = true,
                                            .describe = describeOneShot,
                                            .program = oneShot};

}  // namespace lockstep::schedule
