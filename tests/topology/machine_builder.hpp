// Inventories by hand, for tests: devices in the order they are asked for.
#pragma once

#include <cstdint>
#include <string>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

struct MachineBuilder {
  Inventory inventory;

  /// Sapphire Rapids, so 22 GB/s to other packages.
  int cpu(int package, const std::string& host = {}) {
    const int numa = static_cast<int>(inventory.cpus.size());
    inventory.cpus.push_back({.host = host,
                              .numa = numa,
                              .package = package,
                              .affinity = {},
                              .arch = "x86_64",
                              .vendor = "GenuineIntel",
                              .model = {},
                              .familyId = 6,
                              .modelId = 0x8f,
                              .other = {}});
    return numa;
  }

  /// Below a switch, or at the CPU itself (kNone). Links have 16 lanes; 32 GT/s is generation 5.
  int pci(int cpu, int parent, std::uint32_t classCode, double gigatransfers) {
    const int row = static_cast<int>(inventory.pci.size());
    PciDevice device;
    device.id = {
        .domain = 0, .bus = static_cast<std::uint8_t>(row + 1), .device = 0, .function = 0};
    device.cpu = cpu;
    device.parent = parent;
    device.classCode = classCode;
    device.link = {TransferRate::gigatransfers(gigatransfers), 16};
    inventory.pci.push_back(device);
    return row;
  }

  int pciSwitch(int cpu, int parent = kNone, double gigatransfers = 32) {
    return pci(cpu, parent, pci_class::kBridge, gigatransfers);
  }

  int gpu(int cpu, int parent, int sm, double gigatransfers = 32) {
    const int row = static_cast<int>(inventory.gpus.size());
    Gpu gpu;
    gpu.pci = pci(cpu, parent, pci_class::k3d, gigatransfers);
    gpu.device = row;
    gpu.sm = sm;
    inventory.gpus.push_back(gpu);
    return row;
  }

  int nic(int cpu, int parent, double gigabits, double gigatransfers = 32) {
    const int row = static_cast<int>(inventory.nics.size());
    Nic nic;
    nic.pci = pci(cpu, parent, pci_class::kInfiniband, gigatransfers);
    nic.cpu = cpu;
    nic.name = "mlx5_" + std::to_string(row);
    nic.device = row;
    nic.speed = Bandwidth::megabitsPerSecond(gigabits * 1000);
    inventory.nics.push_back(nic);
    return row;
  }

  BusId busOf(int gpu) const { return inventory.pci[rowOf(gpu)].id; }

  /// One direction.
  void link(int from, const BusId& to, int count, std::uint32_t targetClass,
            GpuLinkKind kind = GpuLinkKind::nvlink) {
    inventory.gpus[static_cast<std::size_t>(from)].links.push_back(
        {kind, to, count, targetClass, {}});
  }

  void join(int a, int b, int count, GpuLinkKind kind = GpuLinkKind::nvlink) {
    const std::uint32_t targetClass =
        kind == GpuLinkKind::nvlink ? pci_class::k3d : pci_class::kAccelerator;
    link(a, busOf(b), count, targetClass, kind);
    link(b, busOf(a), count, targetClass, kind);
  }

  void joinSwitch(int gpu, int number, int count) {
    const BusId chip{
        .domain = 1, .bus = static_cast<std::uint8_t>(number), .device = 0, .function = 0};
    link(gpu, chip, count, pci_class::kNvSwitch);
  }

  void joinInvisibleSwitch(int gpu, int count) {
    link(gpu, kInvisibleSwitch, count, pci_class::kNvSwitch);
  }

 private:
  std::size_t rowOf(int gpu) const {
    return static_cast<std::size_t>(inventory.gpus[static_cast<std::size_t>(gpu)].pci);
  }
};

}  // namespace lockstep::topology
