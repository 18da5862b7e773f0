// Trees over all GPUs, for what must be quick rather than wide.
#pragma once

#include <string>
#include <vector>

#include "topology/search/rings.hpp"

namespace lockstep::topology {

struct Tree {
  std::vector<NodeId> gpus;  ///< every GPU of the graph once
  std::vector<int> parent;   ///< of each, a position in gpus; kNone for the root
  int depth = 0;             ///< hops from the farthest leaf to the root
  NodeId nic = kNone;        ///< withNics: the root sends and receives by this one
  /// Up and down at once, as all-reduce pipelines them, with all trees running.
  Bandwidth bandwidth;
  PathType worst = PathType::loc;  ///< of its hops
};

/// All trees have the same bandwidth.
struct Trees {
  std::vector<Tree> trees;
  Bandwidth total;     ///< of all trees together; not known where no link on their way is
  Bandwidth bound;     ///< which no set of trees can exceed; or not known
  std::string narrow;  ///< what makes the bound
  int channels = 0;    ///< as Rings::channels
  std::string reason;  ///< why there are no trees; empty where there are

  /// total / bound: 1 is proven to be the best there is. 0 where either is not known.
  double efficiency() const;
};

/// Out of rings of the same graph: the better of two shapes, which is the shallower, unless it has
/// less than nine tenths of the other's bandwidth.
/// - Chains: the rings, cut where they are the worst, and hung up in the middle (at the NIC with
///   NICs). A ring and its mirror are one chain.
/// - Binary trees in the order of the first ring: two, of which none of the GPUs is inside of both
///   (Sanders, Speck, Traeff, "Two-tree algorithms", 2009); with NICs one for each ring, from
///   its first GPU.
Trees findTrees(const Graph& graph, const Rings& rings);

/// One line of sums, and one for each tree, children in parentheses: "tree 0: GPU3 (GPU1 (GPU0
/// GPU2) GPU5)  20.0 GB/s  NVL".
std::string print(const Graph& graph, const Trees& trees);

}  // namespace lockstep::topology
