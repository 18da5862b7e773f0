// A machine as an indented list, for people.
#pragma once

#include <string>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// NUMA nodes with what hangs below them, the NVSwitches, and what was odd. One line per device:
/// name, bus id, PCIe link, links to others.
std::string writeTree(const Graph& graph);

/// "x16 Gen5", "x16 at 7 GT/s", "x? Gen5"; empty where nothing is known.
std::string linkText(const PcieLink& link);
/// "370.8 GB/s"; "? GB/s" where not known.
std::string bandwidthText(Bandwidth bandwidth);

}  // namespace lockstep::topology
