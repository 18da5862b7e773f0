// The machine a number was measured on.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace lockstep::bench {

struct Cache {
  std::string name;       ///< "L1d", "L2", "L3"
  std::size_t bytes = 0;  ///< of one
  int count = 0;
};

struct Machine {
  std::string cpu;     ///< model, as the processor names itself
  std::string kernel;  ///< "Linux 6.1.0-18-amd64"
  int cores = 1;       ///< physical cores this process may use
  int threads = 1;     ///< hardware threads this process may use
  int numaNodes = 1;
  std::vector<Cache> caches;  ///< nearest first
  std::vector<int> cpus;      ///< one hardware thread of each core, to pin ranks to
};

/// By hwloc, within the affinity mask and cgroup of this process. Throws system.
Machine detectMachine();

/// Memory that can still be had without swapping (MemAvailable, or less where the cgroup says so).
/// Bytes.
std::size_t availableMemory();

/// "AMD EPYC, 2 cores (2 threads), L1d 2 x 32 KiB, L2 2 x 1 MiB, L3 32 MiB, Linux 6.1.0"
std::string describe(const Machine& machine);

void to_json(nlohmann::json& json, const Machine& machine);

}  // namespace lockstep::bench
