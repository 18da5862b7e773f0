// In place of copies: rank r reduces chunk r of everyone's input, where it lies, into the root's
// output. So every core takes part, not only the root's.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::reduce, "direct", shape, shape.worldSize);
}

Program directExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const Range mine = chunk(rank);
  const Operand result = rank == shape.root ? out(mine) : remoteOut(shape.root, mine);
  return exposed(
      {move({result},
            inRankOrder(shape.worldSize, rank, in(mine), [&](int q) { return remoteIn(q, mine); }),
            true)});
}

}  // namespace

extern const Algorithm kReduceDirectExposed = {.name = "direct",
                                               .collective = Collective::reduce,
                                               .edges = Edges::exposure,
                                               .rankOrder = true,
                                               .describe = describeDirectExposed,
                                               .program = directExposed};

}  // namespace lockstep::schedule
