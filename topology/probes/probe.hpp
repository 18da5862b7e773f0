// Looking at the machine itself: each source tells what it knows, or why it knows nothing.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// What probes look at. Tests give them another machine's.
struct Surroundings {
  std::filesystem::path sys = "/sys";
  std::filesystem::path proc = "/proc";
  std::string nvml = "libnvidia-ml.so.1";  ///< as dlopen takes it
};

/// What one source found. Its inventory need not be complete: a row carries what joins it to others
/// (a bus id, a NUMA number) and what this source knows of it.
struct Finding {
  Inventory inventory;
  std::vector<std::string> remarks;
  std::string absent;  ///< why there is nothing, in words for users; empty where there is something
};

/// One source. A file probes/NAME.cpp defines kProbesName, and is in the table by being there.
struct Probe {
  std::string_view name;  ///< "hwloc"
  /// Probes that place devices come before those that only add to them, and are right where two
  /// differ.
  int stage = 0;
  /// Never throws but for lack of memory: what goes wrong is said in Finding::absent or remarks.
  Finding (*look)(const Surroundings& surroundings);
};

/// As the build lists them.
std::span<const Probe* const> allProbes();

}  // namespace lockstep::topology
