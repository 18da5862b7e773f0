// Direct: the root sends to everyone. One step.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeDirect(const Shape& shape) {
  return describe(Collective::broadcast, "direct", shape);
}

Program direct(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return aloneCopying(shape);
  const Operand message = via({shape.root, kEveryone}, kWhole);
  if (rank != shape.root) return oneLane({move({out(kWhole)}, {message})});
  Lane lane{move({message}, {in(kWhole)})};
  if (!shape.inPlace) lane.push_back(move({out(kWhole)}, {in(kWhole)}));
  return oneLane(std::move(lane));
}

}  // namespace

extern const Algorithm kBroadcastDirect = {.name = "direct",
                                           .collective = Collective::broadcast,
                                           .edges = Edges::channels,
                                           .rankOrder = false,
                                           .describe = describeDirect,
                                           .program = direct};

}  // namespace lockstep::schedule
