// A topology that hwloc has loaded, as an inventory.
#pragma once

#include "topology/readers/reader.hpp"

struct hwloc_topology;

namespace lockstep::topology {

/// CPUs by NUMA node, and PCI devices without their links. By way of hwloc's XML, so that a machine
/// and a recording of it are read by the same code, which is tested with recordings. Remarks have
/// no lines. Throws Error(system) where hwloc cannot write it.
Reading inventoryOf(hwloc_topology* topology);

}  // namespace lockstep::topology
