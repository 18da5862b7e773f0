// Direct: everyone sends its block to everyone. One step; on a fully connected fabric also the
// least bytes.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::allGather, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const auto from = [](int writer) { return via({writer, kEveryone}, block(writer)); };
  Lane lane{move({from(rank)}, {in(kWhole)})};
  if (!shape.inPlace) lane.push_back(move({out(block(rank))}, {in(kWhole)}));
  for (int step = 1; step < world; ++step) {
    const int q = around(rank, -step, world);
    lane.push_back(move({out(block(q))}, {from(q)}));
  }
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kAllgatherDirect = {.name = "direct",
                                           .collective = Collective::allGather,
                                           .edges = Edges::channels,
                                           .rankOrder = false,
                                           .describe = describeDirect,
                                           .program = direct};

}  // namespace lockstep::schedule
