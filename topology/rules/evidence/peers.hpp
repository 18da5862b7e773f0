// Which GPUs ought to be equal.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// GPUs that a driver or a dump tells of, not only PCI.
std::vector<NodeId> knownGpus(const Graph& graph);
/// Those that only PCI shows.
std::vector<NodeId> bareGpus(const Graph& graph);
/// The row behind a node of knownGpus.
const Gpu& gpuOf(const Graph& graph, NodeId node);
/// Known GPUs of one model in one machine, in the order of knownGpus.
std::vector<std::vector<NodeId>> peerGroups(const Graph& graph);
/// Known GPUs by machine.
std::vector<std::vector<NodeId>> gpusByHost(const Graph& graph);
/// By its PCI vendor, or where that is not told by the kind of its file.
bool isNvidia(const Graph& graph, NodeId gpu);
/// Of several equally common, the largest: links get lost, and do not appear. 0 for none.
std::int64_t mostCommon(const std::vector<std::int64_t>& values);

}  // namespace lockstep::topology
