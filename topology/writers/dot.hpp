// A machine as Graphviz draws it.
#pragma once

#include <string>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// DOT, UTF-8: `dot -Tsvg`. A cluster per NUMA node, and per host where there are several; the
/// links of one kind between two nodes are one edge, with arrows only where its directions differ.
std::string writeDot(const Graph& graph);

}  // namespace lockstep::topology
