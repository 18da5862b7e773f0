// Direct in place of copies: everyone writes its block to where the root wants it.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::gather, "direct", shape);
}

Program directExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return aloneCopying(shape);
  if (rank != shape.root)
    return exposed({move({remoteOut(shape.root, block(rank))}, {in(kWhole)})});
  return shape.inPlace ? exposed({}) : exposed({move({out(block(rank))}, {in(kWhole)})});
}

}  // namespace

extern const Algorithm kGatherDirectExposed = {.name = "direct",
                                               .collective = Collective::gather,
                                               .edges = Edges::exposure,
                                               .rankOrder = false,
                                               .describe = describeDirectExposed,
                                               .program = directExposed};

}  // namespace lockstep::schedule
