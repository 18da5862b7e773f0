// Two-shot in place of copies: rank r reads chunk r of everyone where it lies, reduces it, and
// writes the result to where everyone wants it. No one else touches chunk r, so it may be done in
// place.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeTwoShotExposed(const Shape& shape) {
  return describeExposed(Collective::allReduce, "two_shot", shape, shape.worldSize);
}

Program twoShotExposed(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const Range mine = chunk(rank);
  std::vector<Operand> results{out(mine)};
  for (int step = 1; step < world; ++step)
    results.push_back(remoteOut(around(rank, step, world), mine));
  const auto contributions =
      inRankOrder(world, rank, in(mine), [&](int q) { return remoteIn(q, mine); });
  return exposed({move(results, contributions, true)});
}

}  // namespace

extern const Algorithm kAllreduceTwoShotExposed = {.name = "two_shot",
                                                   .collective = Collective::allReduce,
                                                   .edges = Edges::exposure,
                                                   .rankOrder = true,
                                                   .describe = describeTwoShotExposed,
                                                   .program = twoShotExposed};

}  // namespace lockstep::schedule
