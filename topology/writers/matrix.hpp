// Who reaches whom how: the table that `nvidia-smi topo -m` draws.
#pragma once

#include <string>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// GPUs, then NICs, against each other; then the threads and the NUMA node near each GPU; then what
/// the cells mean, and which NIC is which. Cells: X, NV and the number of NVLinks, XGMI and the
/// number of links, or the path's type. Empty where there is neither GPU nor NIC. More than 512
/// devices: a line that says so.
std::string writeMatrix(const Graph& graph);

}  // namespace lockstep::topology
