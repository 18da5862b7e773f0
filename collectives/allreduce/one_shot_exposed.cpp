// One-shot in place of copies: every rank reads everyone's input where it lies and reduces it
// alone.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeOneShotExposed(const Shape& shape) {
  Schedule schedule = describe(Collective::allReduce, "one_shot", shape, 1);
  schedule.exposes = true;
  // In place, `out` is what the others still read: the result waits in scratch until they are done.
  schedule.scratchChunks = shape.inPlace && shape.worldSize > 1 ? 1 : 0;
  return schedule;
}

Program oneShotExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const Operand result = shape.inPlace ? scratch(kWhole) : out(kWhole);
  const auto contributions =
      inRankOrder(shape.worldSize, rank, in(kWhole), [](int q) { return remoteIn(q, kWhole); });
  Lane lane{sync(OpKind::expose), sync(OpKind::acquire), move({result}, contributions, true),
            sync(OpKind::release), sync(OpKind::close)};
  if (shape.inPlace) lane.push_back(move({out(kWhole)}, {result}));
  return oneLane(lane);
}

}  // namespace

extern const Algorithm kAllreduceOneShotExposed = {.name = "one_shot",
                                                   .collective = Collective::allReduce,
                                                   .edges = Edges::exposure,
                                                   .rankOrder = true,
                                                   .describe = describeOneShotExposed,
                                                   .program = oneShotExposed};

}  // namespace lockstep::schedule
