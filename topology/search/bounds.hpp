// What no rings or trees can exceed, however they run.
#pragma once

#include <string>
#include <vector>

#include "topology/search/hops.hpp"

namespace lockstep::topology {

/// A part of the machine with GPUs inside and out (a GPU, what hangs below a PCIe switch or on a
/// NUMA node, a package, GPUs joined by NVLink, a host), and what crosses its border.
struct Cut {
  std::string part;      ///< "GPU3", "NUMA 1", "package 0"
  NodeId gpu = kNone;    ///< where the part is one GPU
  double in = 0;         ///< bytes/s that all hops from outside can bring together
  double out = 0;        ///< and take out; infinite where not known
  std::vector<int> ins;  ///< segments
  std::vector<int> outs;
};

/// Of a graph with the hops that rings are made of. Where there are ports, the network outside
/// counts as another part that every ring passes.
std::vector<Cut> cutsOf(const Graph& graph, const Hops& hops);

struct Bound {
  Bandwidth bandwidth;  ///< of all together; not known where the links are not
  std::string by;       ///< the part whose border is the narrowest: "NUMA 1"
};

/// Every ring enters and leaves every part at least once.
Bound boundOfRings(const std::vector<Cut>& cuts);
/// A tree that moves data up and down at once enters and leaves every part at least once, too;
/// and with n GPUs it enters a GPU 2 (n - 1) times, which all GPUs together can take so much of.
Bound boundOfTrees(const std::vector<Cut>& cuts, int gpus);
/// How many rings of this many bytes/s can cross every border, at most.
int mostRings(const std::vector<Cut>& cuts, const Hops& hops, double bandwidth);

}  // namespace lockstep::topology
