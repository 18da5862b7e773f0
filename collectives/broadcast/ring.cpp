// Pipelined ring: the message goes from rank to rank, tile after tile, so that all links are busy
// with different tiles. For large messages where a rank has two neighbours.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeRing(const Shape& shape) {
  return describe(Collective::broadcast, "ring", shape);
}

Program ring(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const int place = around(rank, -shape.root, world);
  const Operand next = via({rank, around(rank, 1, world)}, kWhole);
  const Operand previous = via({around(rank, -1, world), rank}, kWhole);
  if (place == 0) {
    Lane lane{move({next}, {in(kWhole)})};
    if (!shape.inPlace) lane.push_back(move({out(kWhole)}, {in(kWhole)}));
    return oneLane(std::move(lane));
  }
  if (place == world - 1) return oneLane({move({out(kWhole)}, {previous})});
  return oneLane({forward({next, out(kWhole)}, previous)});
}

}  // namespace

extern const Algorithm kBroadcastRing = {.name = "ring",
                                         .collective = Collective::broadcast,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeRing,
                                         .program = ring};

}  // namespace lockstep::schedule
