// NVML's codes in words for users.
#pragma once

#include <string>
#include <string_view>

#include "topology/probes/nvml/abi.hpp"

namespace lockstep::topology::nvml {

/// "the GPU is lost: ...", with what to do where that is known.
std::string describe(Return result);

/// As `nvidia-smi topo -p2p` has it: "chipset not supported".
std::string_view describe(P2pStatus status);

}  // namespace lockstep::topology::nvml
