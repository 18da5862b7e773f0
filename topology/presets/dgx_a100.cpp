// NVIDIA DGX A100 User Guide (DU-09821-001), "Hardware Overview", and the DGX A100 640GB data
// sheet: two AMD EPYC 7742, eight A100 with 600 GB/s of NVLink, six NVSwitches, eight single-port
// ConnectX-6 of 200 Gb/s (HDR), two dual-port ConnectX-6 of 200 Gb/s.
//
//   NUMA 3: GPU0 GPU1 NIC NIC     NUMA 7: GPU4 GPU5 NIC NIC     (NPS4: four NUMA nodes per socket)
//   NUMA 1: GPU2 GPU3 NIC NIC     NUMA 5: GPU6 GPU7 NIC NIC
//   NUMA 0: storage NIC           NUMA 4: storage NIC
//
// Bus and NUMA numbers, and two links to each of the switches c4:00.0 to c9:00.0: as NCCL dumps a
// DGX A100 (NVIDIA/nccl issue 1505), and the guide's table of `nvidia-smi topo -m`. The tree of
// Broadcom Gen4 switches over two GPUs and two NICs is one here, as NCCL takes it
// (ncclTopoFlattenBcmSwitches).
#include <array>

#include "topology/presets/parts/builder.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

constexpr int kNvSwitches = 6;
constexpr int kFirstNvSwitch = 0xc4;
constexpr int kLinksToEach = 2;

/// What is below one PCIe switch, by bus.
struct Group {
  int numa;
  std::uint8_t bridge;
  std::array<std::uint8_t, 2> gpus, nics;
};

constexpr Group kGroups[] = {{3, 0x01, {0x07, 0x0f}, {0x0c, 0x12}},
                             {1, 0x41, {0x47, 0x4e}, {0x4b, 0x54}},
                             {7, 0x81, {0x87, 0x90}, {0x8d, 0x94}},
                             {5, 0xb1, {0xb7, 0xbd}, {0xba, 0xcc}}};

Inventory make() {
  MachineBuilder builder("dgx-a100");
  builder.addCpus(models::kEpyc7742, 2, 4);
  for (const Group& group : kGroups) {
    const Slots below =
        builder.addSwitch(builder.rootPorts(group.numa), {.bus = group.bridge}, models::kGen4);
    for (const std::uint8_t bus : group.gpus) {
      const int gpu = builder.addGpu(below, {.bus = bus}, models::kA100);
      for (int chip = 0; chip < kNvSwitches; ++chip)
        builder.addNvlinks(gpu, {.bus = static_cast<std::uint8_t>(kFirstNvSwitch + chip)},
                           kLinksToEach, pci_class::kNvSwitch);
    }
    for (const std::uint8_t bus : group.nics)
      builder.addNic(below, {.bus = bus}, models::kConnectX6);
  }
  const NicModel storage = models::asEthernet(models::kConnectX6);
  builder.addNic(builder.rootPorts(0), {.bus = 0x61}, storage, 2);
  builder.addNic(builder.rootPorts(4), {.bus = 0xe1}, storage, 2);
  return builder.take();
}

}  // namespace

extern const Preset kPresetsDgxA100{
    "dgx-a100", "8 A100, 6 NVSwitches, 2 EPYC 7742, 8 ConnectX-6: NVIDIA's DGX A100", make};

}  // namespace lockstep::topology
