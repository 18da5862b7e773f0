// Binomial tree: at each of ceil(log2(P)) steps, everyone who has the message sends it to one who
// has not. What is passed on is forwarded as it came.
#include <bit>

#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

Schedule describeBinomial(const Shape& shape) {
  return describe(Collective::broadcast, "binomial", shape);
}

/// Ranks are counted from the root. A rank's parent lacks its lowest bit; its children have one
/// more bit below that. The farthest child first: its subtree is the largest.
std::vector<int> childrenOf(int place, int world) {
  std::vector<int> children;
  const int lowest =
      place == 0 ? static_cast<int>(std::bit_ceil(static_cast<unsigned>(world))) : place & -place;
  for (int bit = lowest / 2; bit >= 1; bit /= 2)
    if (place + bit < world) children.push_back(place + bit);
  return children;
}

Program binomial(const Shape& shape, int rank) {
  const int world = shape.worldSize;
  if (world == 1) return aloneCopying(shape);
  const int place = around(rank, -shape.root, world);
  std::vector<Operand> down;
  for (const int child : childrenOf(place, world))
    down.push_back(via({rank, around(shape.root, child, world)}, kWhole));
  if (place == 0) {
    Lane lane{move(down, {in(kWhole)})};
    if (!shape.inPlace) lane.push_back(move({out(kWhole)}, {in(kWhole)}));
    return oneLane(std::move(lane));
  }
  const int parent = around(shape.root, place - (place & -place), world);
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
