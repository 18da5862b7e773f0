// How rules say things.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// "GPU0, GPU3", "GPU0..GPU7" where three or more follow each other; after eight parts "and 5
/// more".
std::string list(const std::vector<std::string>& names);
std::string list(const Graph& graph, const std::vector<NodeId>& nodes);
/// "no NVLinks", "1 NVLink", "4 NVSwitches"
std::string counted(std::int64_t count, std::string_view noun);
/// The word that agrees with that many.
std::string_view agree(std::size_t count, std::string_view one, std::string_view many);
/// "half", "a quarter", "an eighth", "37 %"
std::string share(double part);
/// "NVSwitch1 (0000:1b:00.0)", "NVSwitches that the machine does not show", "GPU3"
std::string described(const Node& node);

}  // namespace lockstep::topology
