// `ccbench topo`: what is connected to what, of this machine, of a file or of a machine by name.
#pragma once

#include <string>
#include <vector>

namespace lockstep::bench {

inline constexpr const char* kTopoCommand = "topo";

/// `arguments` after "topo". The exit status: 0; with --check 1 where there are warnings and 2
/// where there are errors. Throws UsageError for arguments and for files that are no topologies.
int runTopo(const std::vector<std::string>& arguments);

}  // namespace lockstep::bench
