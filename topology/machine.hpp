// What the machine under this process looks like, as far as plans and reports need to know.
#pragma once

#include <cstddef>
#include <string>

struct hwloc_topology;

namespace lockstep::topology {

/// Sizes in bytes, 0 when unknown. Counts are at least 1.
struct Machine {
  std::string cpuModel = "unknown CPU";  ///< "Intel(R) Xeon(R) Platinum 8480+"
  int cores = 1;                         ///< physical cores of the machine
  int threads = 1;                       ///< hardware threads of the machine
  /// Those that this process may use: by its affinity mask, which its cgroup's cpuset limits too.
  int allowedCores = 1;
  int allowedThreads = 1;
  int packages = 1;
  int numaNodes = 1;
  /// Bytes of one cache of this level (the first; they are alike on all but hybrid CPUs).
  std::size_t l1dBytes = 0, l2Bytes = 0, l3Bytes = 0;
  /// One L3 cache serves every thread this process may use.
  bool l3SharedByAll = false;
  std::string kernel = "unknown kernel";  ///< "Linux 6.1.0-18-amd64"
  std::string virtualization = "none";    ///< the hypervisor's name ("KVM"), or "none"
};

/// Looks once, then remembers. What cannot be found out keeps the values above. Never throws, but
/// for lack of memory.
const Machine& thisMachine();

/// The parts of Machine that a loaded hwloc topology tells: all but kernel and virtualization. For
/// tests, and for topologies recorded elsewhere.
Machine describe(hwloc_topology* topology);

}  // namespace lockstep::topology
