// Direct in place of copies: everyone reads its block of the root's input where it lies.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::scatter, "direct", shape);
}

Program directExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return aloneCopying(shape);
  if (rank != shape.root)
    return exposed({move({out(kWhole)}, {remoteIn(shape.root, block(rank))})});
  return shape.inPlace ? exposed({}) : exposed({move({out(kWhole)}, {in(block(rank))})});
}

}  // namespace

extern const Algorithm kScatterDirectExposed = {.name = "direct",
                                                .collective = Collective::scatter,
                                                .edges = Edges::exposure,
                                                .rankOrder = false,
                                                .describe = describeDirectExposed,
                                                .program = directExposed};

}  // namespace lockstep::schedule
