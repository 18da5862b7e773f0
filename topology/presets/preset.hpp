// Machines that one can have without having them.
#pragma once

#include <span>
#include <string_view>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// A file presets/NAME.cpp defines kPresetsNAME, and is in the table by being there.
struct Preset {
  std::string_view name;  ///< "dgx-h100"
  std::string_view what;  ///< "8 H100, 4 NVSwitches, 8 ConnectX-7: NVIDIA's DGX H100"
  Inventory (*make)();
};

std::span<const Preset* const> allPresets();
/// Throws Error(invalidArgument) that lists the presets there are.
const Preset& findPreset(std::string_view name);

}  // namespace lockstep::topology
