// A machine as a picture that any browser shows.
#pragma once

#include <string>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

inline constexpr std::size_t kMostGpusInPicture = 1024;
inline constexpr std::size_t kMostNvSwitchesInPicture = 256;

/// SVG, UTF-8, without scripts and without anything from outside. A box per NUMA node with its CPU
/// at the bottom and PCIe switches nested as they are; NVSwitches across the top, NVLinks as lines
/// that are wider where there are more. Several hosts are trays in rows. Full names and bandwidths
/// show where the mouse points. Throws Error(invalidArgument) where there are more GPUs or
/// NVSwitches than that.
std::string writeSvg(const Graph& graph);

}  // namespace lockstep::topology
