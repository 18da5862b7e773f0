// All that is known of a machine, for programs.
#pragma once

#include <string>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// Paths between more GPUs and NICs than this are left out of JSON.
inline constexpr std::size_t kMostDevicesWithPaths = 256;

/// JSON, UTF-8, one row a line, in the same order always. What is not known is null; units are in
/// the names, 1 GB is 10^9 bytes, and rates are of one direction.
///   schema: 1; source; ncclVersion; driver
///   cpus, pciDevices, gpus, nics: the inventory; "cpu", "parent", "pci", "gpu" are rows of these
///   nodes, links: the graph; nodes are named, and "row" is that of their kind
///   paths: one per two of the GPUs and NICs: type, steps (each the names of what is passed side by
///     side), NVLinks side by side, the narrowest part; null with a reason in pathsLeftOut
///   remarks: what made no sense
///   problems: what diagnose() says
/// Control characters in names are escaped, so that it can be shown on a terminal.
std::string writeJson(const Graph& graph);

}  // namespace lockstep::topology
