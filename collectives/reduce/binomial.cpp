// Binomial tree: the broadcast's, upwards; everyone reduces what its children send with its own.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeBinomial(const Shape& shape) {
  return describe(Collective::reduce, "binomial", shape);
}

/// As broadcast/binomial.cpp counts them; the nearest first, whose subtree is ready first.
std::vector<int> childrenOf(int place, int world) {
  std::vector<int> children;
  for (int bit = 1; place + bit < world && (place & bit) == 0; bit *= 2)
    children.push_back(place + bit);
  return children;
}

Program binomial(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return alone();
  const int place = around(rank, -shape.root, world);
  std::vector<Operand> parts{in(kWhole)};
  for (const int child : childrenOf(place, world))
    parts.push_back(via({around(shape.root, child, world), rank}, kWhole));
  if (place == 0) return oneLane({move({out(kWhole)}, parts, true)});
  const int parent = around(shape.root, place - (place & -place), world);
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
