// Direct in place of copies: everyone reads everyone's block where it lies.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirectExposed(const Shape& shape) {
  return describeExposed(Collective::allGather, "direct", shape);
}

Program directExposed(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  Lane lane;
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, step, world);
    lane.push_back(move({out(block(q))}, {remoteIn(q, kWhole)}));
  }
  if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(kWhole)}));
  return exposed(std::move(lane));
}

}  // namespace

extern const Algorithm kAllgatherDirectExposed = {.name = "direct",
                                                  .collective = Collective::allGather,
                                                  .edges = Edges::exposure,
                                                  .rankOrder = false,
                                                  .describe = describeDirectExposed,
                                                  .program = directExposed};

}  // namespace lockstep::schedule
