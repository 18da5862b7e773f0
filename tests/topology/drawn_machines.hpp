// Machines for those who draw and write: made here, row by row.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "topology/graph/graph.hpp"
#include "topology/inventory/pcie.hpp"

namespace lockstep::topology::drawn {

inline BusId bus(int number) {
  return {0, static_cast<std::uint8_t>(number), 0, 0};
}

inline int addCpu(Inventory& machine, int numa, const std::string& host = {}) {
  Cpu cpu;
  cpu.host = host;
  cpu.numa = numa;
  cpu.arch = "x86_64";
  cpu.vendor = "GenuineIntel";
  cpu.model = "Intel(R) Xeon(R) Platinum 8480C";
  cpu.familyId = 6;
  cpu.modelId = 0x8f;
  machine.cpus.push_back(cpu);
  return static_cast<int>(machine.cpus.size()) - 1;
}

inline int addPci(Inventory& machine, int cpu, int parent, int number, std::uint32_t classCode,
                  int generation = 5) {
  PciDevice device;
  device.id = bus(number);
  device.cpu = cpu;
  device.parent = parent;
  device.classCode = classCode;
  device.link = {pcieRate(generation), 16};
  machine.pci.push_back(device);
  return static_cast<int>(machine.pci.size()) - 1;
}

inline int addGpu(Inventory& machine, int cpu, int parent, int number, int sm = 90) {
  Gpu gpu;
  gpu.pci = addPci(machine, cpu, parent, number, pci_class::k3d);
  machine.pci.back().vendor = 0x10de;
  machine.pci.back().name = sm == 90 ? "NVIDIA H100 80GB HBM3" : "";
  gpu.device = static_cast<int>(machine.gpus.size());
  gpu.sm = sm;
  machine.gpus.push_back(gpu);
  return gpu.device;
}

inline void addNic(Inventory& machine, int cpu, int parent, int number, const std::string& name,
                   double gigabits = 400) {
  Nic nic;
  nic.pci = addPci(machine, cpu, parent, number, pci_class::kInfiniband);
  nic.name = name;
  nic.speed = Bandwidth::megabitsPerSecond(gigabits * 1000);
  machine.nics.push_back(nic);
}

inline void addLinks(Inventory& machine, int gpu, const BusId& target, int count,
                     std::uint32_t targetClass, GpuLinkKind kind = GpuLinkKind::nvlink) {
  GpuLinks links;
  links.kind = kind;
  links.target = target;
  links.count = count;
  links.targetClass = targetClass;
  machine.gpus[static_cast<std::size_t>(gpu)].links.push_back(links);
}

inline void linkGpus(Inventory& machine, int a, int b, int count,
                     GpuLinkKind kind = GpuLinkKind::nvlink) {
  const auto at = [&](int gpu) {
    return machine.pci[static_cast<std::size_t>(machine.gpus[static_cast<std::size_t>(gpu)].pci)]
        .id;
  };
  addLinks(machine, a, at(b), count, pci_class::k3d, kind);
  addLinks(machine, b, at(a), count, pci_class::k3d, kind);
}

//  NUMA 0: switch - GPU0 + mlx5_0      all GPUs: 5, 5, 4, 4 links to
//          ...                         NVSwitches e0..e3
//  NUMA 1: ... switch - GPU7 + mlx5_7, and mlx5_8, mlx5_9 at CPUs
inline Inventory nvSwitchNode() {
  Inventory machine;
  machine.source = "8 GPUs behind 4 NVSwitches";
  for (int numa = 0; numa < 2; ++numa) {
    const int cpu = addCpu(machine, numa);
    for (int i = 0; i < 4; ++i) {
      const int number = 4 * numa + i;
      const int above = addPci(machine, cpu, kNone, 16 * number + 1, pci_class::kBridge);
      const int gpu = addGpu(machine, cpu, above, 16 * number + 2);
      addNic(machine, cpu, above, 16 * number + 3, "mlx5_" + std::to_string(number));
      for (int chip = 0; chip < 4; ++chip)
        addLinks(machine, gpu, bus(0xe0 + chip), chip < 2 ? 5 : 4, pci_class::kNvSwitch);
    }
    addNic(machine, cpu, kNone, 0xf0 + numa, "mlx5_" + std::to_string(8 + numa), 100);
  }
  return machine;
}

//  GPU0..3 on NUMA 0, GPU4..7 on NUMA 1, two below each switch; each GPU has 6 links:
//  0-1 1, 0-2 1, 0-3 2, 0-4 2, 1-2 2, 1-3 1, 1-5 2, 2-3 1, 2-6 2, 3-7 2, and 4..7 as 0..3
inline Inventory cubeMesh() {
  Inventory machine;
  machine.source = "8 GPUs in a cube mesh";
  for (int numa = 0; numa < 2; ++numa) {
    const int cpu = addCpu(machine, numa);
    for (int i = 0; i < 2; ++i) {
      const int number = 4 * numa + 2 * i;
      const int above = addPci(machine, cpu, kNone, 16 * number + 1, pci_class::kBridge, 3);
      addGpu(machine, cpu, above, 16 * number + 2, 70);
      addGpu(machine, cpu, above, 16 * number + 3, 70);
      addNic(machine, cpu, above, 16 * number + 4, "mlx5_" + std::to_string(number / 2), 100);
    }
  }
  for (const int first : {0, 4}) {
    linkGpus(machine, first, first + 1, 1);
    linkGpus(machine, first, first + 2, 1);
    linkGpus(machine, first, first + 3, 2);
    linkGpus(machine, first + 1, first + 2, 2);
    linkGpus(machine, first + 1, first + 3, 1);
    linkGpus(machine, first + 2, first + 3, 1);
  }
  for (int i = 0; i < 4; ++i) linkGpus(machine, i, i + 4, 2);
  return machine;
}

//  GPU0 = GPU1 on NUMA 0 and 1, GPU2 = GPU3 on NUMA 2 and 3, 12 links each
inline Inventory pairs() {
  Inventory machine;
  machine.source = "2 pairs of GPUs";
  for (int numa = 0; numa < 4; ++numa) {
    const int cpu = addCpu(machine, numa);
    addGpu(machine, cpu, kNone, numa + 1, 80);
  }
  addNic(machine, 0, kNone, 9, "eth0", 100);
  linkGpus(machine, 0, 1, 12);
  linkGpus(machine, 2, 3, 12);
  return machine;
}

//  NUMA 0: GPU0, GPU1; switch - GPU2, GPU3, switch - mlx5_0, mlx5_1; no NVLinks
inline Inventory pcieOnly() {
  Inventory machine;
  machine.source = "PCIe only";
  const int cpu = addCpu(machine, 0);
  addGpu(machine, cpu, kNone, 1, 86);
  addGpu(machine, cpu, kNone, 2, 86);
  const int above = addPci(machine, cpu, kNone, 3, pci_class::kBridge, 4);
  addGpu(machine, cpu, above, 4, 86);
  addGpu(machine, cpu, above, 5, 86);
  const int lower = addPci(machine, cpu, above, 6, pci_class::kBridge, 4);
  addNic(machine, cpu, lower, 7, "mlx5_0", 200);
  addNic(machine, cpu, lower, 8, "mlx5_1", 200);
  return machine;
}

//  NUMA 0 with eth0, NUMA 1 with nothing
inline Inventory plainHost() {
  Inventory machine;
  machine.source = "a plain host";
  addNic(machine, addCpu(machine, 0), kNone, 1, "eth0", 10);
  addCpu(machine, 1);
  return machine;
}

//  18 trays of 2 CPUs with 2 GPUs each, by chip-to-chip link, and a NIC; all GPUs: 18 links to
//  switches that PCI does not show
inline Inventory rack() {
  Inventory machine;
  machine.source = "72 GPUs in 18 trays";
  for (int tray = 0; tray < 18; ++tray)
    for (int numa = 0; numa < 2; ++numa) {
      const int cpu = addCpu(machine, numa, "tray" + std::to_string(tray));
      machine.cpus.back().arch = "arm64";
      machine.cpus.back().vendor.clear();
      machine.cpus.back().model = "NVIDIA Grace";
      for (int i = 0; i < 2; ++i) {
        const int gpu = addGpu(machine, cpu, kNone, 16 * numa + i + 1, 100);
        addLinks(machine, gpu, kInvisibleSwitch, 18, pci_class::kNvSwitch);
        ChipToChip link;
        link.count = 10;
        link.each = Bandwidth::gigabytesPerSecond(45);
        machine.gpus[static_cast<std::size_t>(gpu)].chipToChip.push_back(link);
        addNic(machine, cpu, kNone, 16 * numa + i + 5, "mlx5_" + std::to_string(2 * numa + i));
      }
    }
  return machine;
}

}  // namespace lockstep::topology::drawn
