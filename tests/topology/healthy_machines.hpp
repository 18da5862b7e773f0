// Machines in which nothing is wrong, as live discovery shows them, for tests that break something.
#pragma once

#include <array>
#include <string>

#include <fmt/format.h>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology::healthy {

inline PcieLink pcie(double gigatransfers, int width) {
  return {TransferRate::gigatransfers(gigatransfers), width};
}

struct Model {
  std::uint32_t classCode = 0;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
};
inline constexpr Model kSwitch{pci_class::kBridge, 0x1000, 0xc030};
inline constexpr Model kH100{pci_class::k3d, 0x10de, 0x2330};
inline constexpr Model kV100{pci_class::k3d, 0x10de, 0x1db1};
inline constexpr Model kL40s{pci_class::k3d, 0x10de, 0x26b9};
inline constexpr Model kConnectX{pci_class::kInfiniband, 0x15b3, 0x1021};
inline constexpr Model kNvSwitch{pci_class::kNvSwitch, 0x10de, 0x22a3};

class Builder {
 public:
  explicit Builder(const std::string& source) { machine.source = source; }

  void cpus(int count) {
    for (int i = 0; i < count; ++i) {
      Cpu cpu;
      cpu.numa = cpu.package = i;
      cpu.arch = "x86_64";
      machine.cpus.push_back(cpu);
    }
  }
  int device(const Model& model, std::uint8_t bus, int cpu, int parent, const PcieLink& link) {
    PciDevice row;
    row.id.bus = bus;
    row.cpu = cpu;
    row.parent = parent;
    row.classCode = model.classCode;
    row.vendor = model.vendor;
    row.device = model.device;
    row.link = row.capable = link;
    machine.pci.push_back(row);
    return static_cast<int>(machine.pci.size()) - 1;
  }
  void gpu(int pci, int sm) {
    Gpu row;
    row.pci = pci;
    row.device = static_cast<int>(machine.gpus.size());
    row.sm = sm;
    machine.gpus.push_back(row);
  }
  void nic(int pci) {
    Nic row;
    row.pci = pci;
    row.cpu = machine.pci[static_cast<std::size_t>(pci)].cpu;
    row.name = fmt::format("mlx5_{}", machine.nics.size());
    row.speed = Bandwidth::megabitsPerSecond(400000);
    row.port = 1;
    row.up = true;
    machine.nics.push_back(row);
  }
  void links(std::size_t gpu, BusId target, int count, std::uint32_t targetClass) {
    GpuLinks row;
    row.target = target;
    row.count = count;
    row.targetClass = targetClass;
    machine.gpus[gpu].links.push_back(row);
  }
  BusId busOf(std::size_t gpu) const {
    return machine.pci[static_cast<std::size_t>(machine.gpus[gpu].pci)].id;
  }
  void allPeers() {
    const int count = static_cast<int>(machine.gpus.size());
    for (int a = 0; a < count; ++a)
      for (int b = 0; b < count; ++b)
        if (a != b) machine.gpus[static_cast<std::size_t>(a)].peers.push_back({b, true, {}});
  }

  Inventory machine;
};

/// Bus ids of the NVSwitches of eightHopper, and the links of each GPU to it.
inline constexpr std::array<std::pair<std::uint8_t, int>, 4> kSwitches{
    {{0x1a, 4}, {0x1b, 5}, {0x1c, 5}, {0x1d, 4}}};

//  NUMA 0: 4 x (PCIe switch: GPU, mlx5)      NUMA 1: 4 x (PCIe switch: GPU, mlx5)
//  every GPU: 4, 5, 5, 4 NVLinks to NVSwitch0..NVSwitch3
inline Inventory eightHopper() {
  Builder builder("this machine");
  builder.cpus(2);
  for (const auto& [bus, count] : kSwitches) builder.device(kNvSwitch, bus, 0, kNone, pcie(16, 2));
  for (int i = 0; i < 8; ++i) {
    const auto bus = static_cast<std::uint8_t>(0x40 + 8 * i);
    const int above = builder.device(kSwitch, bus, i / 4, kNone, pcie(32, 16));
    builder.gpu(builder.device(kH100, bus + 1, i / 4, above, pcie(32, 16)), 90);
    builder.nic(builder.device(kConnectX, bus + 2, i / 4, above, pcie(32, 16)));
  }
  for (std::size_t gpu = 0; gpu < 8; ++gpu) {
    for (const auto& [bus, count] : kSwitches)
      builder.links(gpu, {.bus = bus}, count, pci_class::kNvSwitch);
    FabricState fabric;
    fabric.state = FabricState::State::completed;
    fabric.clusterUuid = std::string(32, '0');
    fabric.health = 0x1aa;  // two bits each "no" (2) to four questions; configuration 1, "none"
    builder.machine.gpus[gpu].fabric = fabric;
  }
  builder.allPeers();
  builder.machine.driver.version = "570.86.15";
  builder.machine.driver.confidential = ConfidentialComputing{.multiGpuKnown = true};
  return builder.machine;
}

//  The hybrid cube mesh of a DGX-1: each V100 has six links, to four others.
inline Inventory cubeMesh() {
  constexpr int kLinks[8][8] = {{0, 1, 1, 2, 2, 0, 0, 0}, {1, 0, 2, 1, 0, 2, 0, 0},
                                {1, 2, 0, 2, 0, 0, 1, 0}, {2, 1, 2, 0, 0, 0, 0, 1},
                                {2, 0, 0, 0, 0, 1, 1, 2}, {0, 2, 0, 0, 1, 0, 2, 1},
                                {0, 0, 1, 0, 1, 2, 0, 2}, {0, 0, 0, 1, 2, 1, 2, 0}};
  Builder builder("this machine");
  builder.cpus(2);
  for (int pair = 0; pair < 4; ++pair) {
    const auto bus = static_cast<std::uint8_t>(0x40 + 8 * pair);
    const int above = builder.device(kSwitch, bus, pair / 2, kNone, pcie(8, 16));
    builder.gpu(builder.device(kV100, bus + 1, pair / 2, above, pcie(8, 16)), 70);
    builder.gpu(builder.device(kV100, bus + 2, pair / 2, above, pcie(8, 16)), 70);
    builder.nic(builder.device(kConnectX, bus + 3, pair / 2, above, pcie(8, 16)));
  }
  for (std::size_t a = 0; a < 8; ++a)
    for (std::size_t b = 0; b < 8; ++b)
      if (kLinks[a][b] > 0) builder.links(a, builder.busOf(b), kLinks[a][b], pci_class::k3d);
  return builder.machine;
}

//  NUMA 0: GPU0, GPU1, mlx5_0      NUMA 1: GPU2, GPU3, mlx5_1
inline Inventory pcieOnly() {
  Builder builder("this machine");
  builder.cpus(2);
  for (int i = 0; i < 2; ++i) {
    const auto bus = static_cast<std::uint8_t>(0x40 + 8 * i);
    builder.gpu(builder.device(kL40s, bus, i, kNone, pcie(16, 16)), 89);
    builder.gpu(builder.device(kL40s, bus + 1, i, kNone, pcie(16, 16)), 89);
    builder.nic(builder.device(kConnectX, bus + 2, i, kNone, pcie(16, 16)));
  }
  return builder.machine;
}

}  // namespace lockstep::topology::healthy
