// How one device reaches another: type, way and narrowest part. Pure; by the graph alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// NCCL's, nearest first (src/graph/topo.h).
enum class PathType : std::uint8_t {
  loc,  ///< itself
  nvl,  ///< NVLink or xGMI: a direct one, or by NVSwitches
  nvb,  ///< NVLinks by way of one other GPU
  c2c,  ///< between a CPU and the GPU of its package
  pix,  ///< at most one PCIe switch
  pxb,  ///< several PCIe switches, no CPU
  p2c,  ///< from a GPU by chip-to-chip link to its CPU, then PCIe
  pxn,  ///< to a NIC by NVLink and a GPU near that NIC
  phb,  ///< by the CPU of both
  sys,  ///< from one NUMA node to another
  net,  ///< by the network
  dis   ///< not at all
};
/// "PIX"
std::string_view name(PathType type);

struct Path {
  PathType type = PathType::dis;
  /// From the one to the other, both included. A step of several nodes is taken in parallel: the
  /// NVSwitches between two GPUs. Empty where there is no path.
  std::vector<std::vector<NodeId>> steps;
  /// The narrowest part, one direction; not known where nothing on the way is. loc: not known.
  Bandwidth bottleneck;
  /// NVLinks or xGMI links side by side at the narrowest of those; 0 where the path has none.
  int links = 0;
  LinkKind first = LinkKind::pcie;  ///< what it starts with
};

struct Routing {
  bool throughGpus = true;  ///< NVB: as NCCL does unless NCCL_NVB_DISABLE
  bool pxn = false;         ///< as NCCL does for its transfers; nvidia-smi does not show it
};

/// The nearest way there is. The same for the same graph, always; `to` and `from` swapped give the
/// same type.
Path findPath(const Graph& graph, NodeId from, NodeId to, Routing routing = {});

}  // namespace lockstep::topology
