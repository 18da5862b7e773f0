// Growing rows of PCI devices out of sources that show every bridge.
#pragma once

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// Somewhere below a CPU. Of the bridges on the way down from the host bridge every second one is
/// the upstream port of a switch, and a row: first a root port, then upstream, downstream,
/// upstream, downstream ... NCCL goes up the path in sysfs by two steps at a time for the same
/// reason (ncclTopoGetXmlFromSys).
struct PciPlace {
  int cpu = kNone;     ///< row
  int parent = kNone;  ///< row of the nearest switch above
  int bridges = 0;     ///< between the host bridge and here
};

/// What is below this bridge. Adds the bridge's row where it is an upstream port.
PciPlace belowBridge(Inventory& inventory, const PciPlace& place, PciDevice bridge);

/// Adds a device's row; its number.
int addDevice(Inventory& inventory, const PciPlace& place, PciDevice device);

}  // namespace lockstep::topology
