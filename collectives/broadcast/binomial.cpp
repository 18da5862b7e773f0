// Binomial tree: at each of ceil(log2(P)) steps, everyone who has the message sends it to one who
// has not. What is passed on is forwarded as it came.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeBinomial(const Shape& shape) {
  return describe(Collective::broadcast, "binomial", shape);
}

Program binomial(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const int place = around(rank, -shape.root, world);
  std::vector<Operand> down;
  // The farthest child first: its subtree is the largest.
  const std::vector<int> children = binomialChildren(place, world);
  for (auto child = children.rbegin(); child != children.rend(); ++child)
    down.push_back(via({rank, around(shape.root, *child, world)}, kWhole));
  if (place == 0) {
    Lane lane{move(down, {in(kWhole)})};
    if (!shape.inPlace) lane.push_back(move({out(kWhole)}, {in(kWhole)}));
    return oneLane(std::move(lane));
  }
  const int parent = around(shape.root, binomialParent(place), world);
  const Operand message = via({parent, rank}, kWhole);
  if (down.empty()) return oneLane({move({out(kWhole)}, {message})});
  down.push_back(out(kWhole));
  return oneLane({forward(down, message)});
}

}  // namespace

extern const Algorithm kBroadcastBinomial = {.name = "binomial",
                                             .collective = Collective::broadcast,
                                             .edges = Edges::channels,
                                             .rankOrder = false,
                                             .describe = describeBinomial,
                                             .program = binomial};

}  // namespace lockstep::schedule
