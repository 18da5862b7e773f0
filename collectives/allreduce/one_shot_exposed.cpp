// One-shot in place of copies: every rank reads everyone's input where it lies and reduces it
// alone.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeOneShotExposed(const Shape& shape) {
  // In place, `out` is what the others still read: the result waits in scratch until they are done.
  return describeExposed(Collective::allReduce, "one_shot", shape, 1,
                         shape.inPlace && shape.worldSize > 1 ? 1 : 0);
}

Program oneShotExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const Operand result = shape.inPlace ? scratch(kWhole) : out(kWhole);
  const auto contributions =
      inRankOrder(shape.worldSize, rank, in(kWhole), [](int q) { return remoteIn(q, kWhole); });
  Lane after;
  if (shape.inPlace) after.push_back(move({out(kWhole)}, {result}));
  return exposed({move({result}, contributions, true)}, std::move(after));
}

}  // namespace

extern const Algorithm kAllreduceOneShotExposed = {.name = "one_shot",
                                                   .collective = Collective::allReduce,
                                                   .edges = Edges::exposure,
                                                   .rankOrder = true,
                                                   .describe = describeOneShotExposed,
                                                   .program = oneShotExposed};

}  // namespace lockstep::schedule
