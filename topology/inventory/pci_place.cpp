#include "topology/inventory/pci_place.hpp"

namespace lockstep::topology {

PciPlace belowBridge(Inventory& inventory, const PciPlace& place, PciDevice bridge) {
  PciPlace below = place;
  ++below.bridges;
  const bool upstreamPort = place.bridges % 2 == 1;
  if (upstreamPort) below.parent = addDevice(inventory, place, std::move(bridge));
  return below;
}

int addDevice(Inventory& inventory, const PciPlace& place, PciDevice device) {
  device.cpu = place.cpu;
  device.parent = place.parent;
  inventory.pci.push_back(std::move(device));
  return static_cast<int>(inventory.pci.size()) - 1;
}

}  // namespace lockstep::topology
