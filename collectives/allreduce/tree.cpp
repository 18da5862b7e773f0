// Tree: reduce up a binary tree, broadcast the result down it. About 2*log2(P) steps, and no rank
// has more than three neighbours; but inner ranks receive the whole message up to three times.
#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

constexpr int kRoot = 0;

/// The heap's numbering: the children of r are 2r+1 and 2r+2.
int parentOf(int rank) {
  return (rank - 1) / 2;
}

std::vector<int> childrenOf(int rank, int worldSize) {
  std::vector<int> children;
  for (const int child : {2 * rank + 1, 2 * rank + 2})
    if (child < worldSize) children.push_back(child);
  return children;
}

Schedule describeTree(const Shape& shape) {
  return describe(Collective::allReduce, "tree", shape, 1);
}

Program tree(const Shape& shape, int rank) {
  const std::vector<int> children = childrenOf(rank, shape.worldSize);
  std::vector<Operand> contributions{in(kWhole)};
  std::vector<Operand> down{out(kWhole)};
  for (const int child : children) {
    contributions.push_back(via({child, rank}, kWhole));
    down.push_back(via({rank, child}, kWhole));
  }
  if (rank == kRoot) return oneLane({move(down, contributions, true)});

  const Operand fromParent = via({parentOf(rank), rank}, kWhole);
  return oneLane({
      move({via({rank, parentOf(rank)}, kWhole)}, contributions),
      children.empty() ? move(down, {fromParent}) : forward(down, fromParent),
  });
}

}  // namespace

extern const Algorithm kAllreduceTree = {.name = "tree",
                                         .collective = Collective::allReduce,
                                         .edges = Edges::channels,
                                         .rankOrder = false,
                                         .describe = describeTree,
                                         .program = tree};

}  // namespace lockstep::schedule
