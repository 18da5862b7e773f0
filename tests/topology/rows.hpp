// Rows of inventories in a line each.
#pragma once

#include <string>
#include <utility>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

inline Cpu cpuRow(int numa, std::string host = {}) {
  Cpu cpu;
  cpu.numa = numa;
  cpu.host = std::move(host);
  return cpu;
}

/// `id` as "0000:1b:00.0" or "1b:00.0".
inline PciDevice pciRow(std::string_view id, int cpu = kNone, int parent = kNone,
                        std::uint32_t classCode = 0) {
  PciDevice device;
  device.id = parseBusId(id).value();
  device.cpu = cpu;
  device.parent = parent;
  device.classCode = classCode;
  return device;
}

inline Gpu gpuRow(int pci, int device = kNone) {
  Gpu gpu;
  gpu.pci = pci;
  gpu.device = device;
  return gpu;
}

inline Nic nicRow(std::string name, int pci = kNone, int cpu = kNone, int port = 0) {
  Nic nic;
  nic.name = std::move(name);
  nic.pci = pci;
  nic.cpu = cpu;
  nic.port = port;
  return nic;
}

}  // namespace lockstep::topology
