// How fast PCIe links are, as the kernel and NCCL's files write it: "32.0 GT/s PCIe".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "topology/inventory/units.hpp"

namespace lockstep::topology {

/// Kernels up to 5.6 wrote "8 GT/s", later ones write "8.0 GT/s PCIe". Empty and "Unknown" are not
/// known; nothing where `text` is anything else. (NCCL looks for the beginnings of these in a table
/// and takes what it misses, as "32.0 GT/s", for 8 GT/s.)
std::optional<TransferRate> parseTransferRate(std::string_view text);

/// "32.0 GT/s PCIe"; empty where not known.
std::string print(TransferRate rate);

}  // namespace lockstep::topology
