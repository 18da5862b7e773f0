// GPUs and NICs out of what the operating system calls the devices.
#pragma once

#include <vector>

#include <pugixml.hpp>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology::hwloc_xml {

/// <object type="OSDev">. What it is goes by its name and what it tells: the numbers of osdev_type
/// are not the same in all versions of hwloc.
struct OsDevice {
  int pci = kNone;  ///< row of the PCI device that it belongs to
  pugi::xml_node object;
};

/// Adds a GPU for each PCI device that a GPU driver has a name for ("nvml0", "rsmi0", "cuda0"), and
/// a NIC for each port of RDMA devices and each other network interface.
void addOsDevices(Inventory& inventory, const std::vector<OsDevice>& devices);

}  // namespace lockstep::topology::hwloc_xml
