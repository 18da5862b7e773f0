// Direct in place of copies: everyone reads the root's buffer where it lies.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::broadcast, "direct", shape);
}

Program directExposed(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return aloneCopying(shape);
  if (rank != shape.root) return exposed({move({out(kWhole)}, {remoteIn(shape.root, kWhole)})});
  return shape.inPlace ? exposed({}) : exposed({move({out(kWhole)}, {in(kWhole)})});
}

}  // namespace

extern const Algorithm kBroadcastDirectExposed = {.name = "direct",
                                                  .collective = Collective::broadcast,
                                                  .edges = Edges::exposure,
                                                  .rankOrder = false,
                                                  .describe = describeDirectExposed,
                                                  .program = directExposed};

}  // namespace lockstep::schedule
