// What the fabric manager's state of a GPU means.
#pragma once

#include <string>
#include <vector>

#include "topology/graph/graph.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {

/// One thing that is wrong. Words of a registration go on after "GPU3"; others are things: "an
/// unhealthy route".
struct FabricFault {
  enum class Kind : std::uint8_t { registration, links, other };
  Severity severity = Severity::error;
  Kind kind = Kind::other;  ///< links: a lost NVLink causes it too
  std::string words;
  friend bool operator==(const FabricFault&, const FabricFault&) = default;
};
/// None where the fabric is not supported, or not known.
std::vector<FabricFault> fabricFaults(const Gpu& gpu);
/// Started and not done, or not started, or ended badly: no NVLink leads anywhere.
bool fabricIsDown(const Gpu& gpu);

/// GPUs of one machine whose fabric is up, by partition.
struct Partition {
  std::string clusterUuid;
  std::uint32_t clique = 0;
  std::vector<NodeId> gpus;
};
std::vector<Partition> partitions(const Graph& graph, const std::vector<NodeId>& gpus);

}  // namespace lockstep::topology
