// Machines that tests read: those written for them (machines/), and those recorded
// (shared/topologies).
#pragma once

#include <filesystem>
#include <string>

#include "topology/graph/graph.hpp"
#include "topology/readers/reader.hpp"

namespace lockstep::topology {

inline std::string writtenFile(const std::string& file) {
  return LOCKSTEP_SOURCE_DIR "/tests/topology/machines/" + file;
}
inline std::string recordedFile(const std::string& file) {
  return LOCKSTEP_SHARED_DIR "/topologies/" + file;
}
inline bool isThere(const std::string& path) {
  return std::filesystem::exists(path);
}
inline Graph graphOf(const std::string& path) {
  return Graph(readTopologyFile(path).inventory);
}
inline Graph writtenMachine(const std::string& file) {
  return graphOf(writtenFile(file));
}

/// The node of this name, or kNone.
inline NodeId nodeNamed(const Graph& graph, const std::string& name) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id)
    if (graph.node(id).name == name) return id;
  return kNone;
}

}  // namespace lockstep::topology
