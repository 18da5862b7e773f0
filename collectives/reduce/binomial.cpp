// Binomial tree: the broadcast's, upwards; everyone reduces what its children send with its own,
// the nearest first, whose subtree is ready first.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeBinomial(const Shape& shape) {
  return describe(Collective::reduce, "binomial", shape);
}

Program binomial(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const int place = around(rank, -shape.root, world);
  std::vector<Operand> parts{in(kWhole)};
  for (const int child : binomialChildren(place, world))
    parts.push_back(via({around(shape.root, child, world), rank}, kWhole));
  if (place == 0) return oneLane({move({out(kWhole)}, parts, true)});
  const int parent = around(shape.root, binomialParent(place), world);
  return oneLane({move({via({rank, parent}, kWhole)}, parts)});
}

}  // namespace

extern const Algorithm kReduceBinomial = {.name = "binomial",
                                          .collective = Collective::reduce,
                                          .edges = Edges::channels,
                                          .rankOrder = false,
                                          .describe = describeBinomial,
                                          .program = binomial};

}  // namespace lockstep::schedule
