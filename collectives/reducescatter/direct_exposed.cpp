// Direct in place of copies: everyone reads its block of everyone's input where it lies.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::reduceScatter, "direct", shape);
}

Program directExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const Range mine = block(rank);
  return exposed(
      {move({out(kWhole)},
            inRankOrder(shape.worldSize, rank, in(mine), [&](int q) { return remoteIn(q, mine); }),
            true)});
}

}  // namespace

extern const Algorithm kReducescatterDirectExposed = {.name = "direct",
                                                      .collective = Collective::reduceScatter,
                                                      .edges = Edges::exposure,
                                                      .rankOrder = true,
                                                      .describe = describeDirectExposed,
                                                      .program = directExposed};

}  // namespace lockstep::schedule
