// NVIDIA "Multi-Node Tuning Guide", "Understanding Your Grace-Blackwell Systems", and the GB200
// NVL72 data sheet: 18 compute trays, each with two Grace CPUs and four Blackwell GPUs, a
// ConnectX-7 of 400 Gb/s per GPU and two BlueField-3 with a port of 400 Gb/s; nine trays of
// NVSwitches over which every GPU reaches every other with 1.8 TB/s in both directions, so 18
// NVLinks at 50 GB/s each.
//
//   Grace 0 ==C2C== GPU0, GPU1     Grace 1 ==C2C== GPU2, GPU3     (one tray; each GPU: 18 NVLinks
//     |-- ConnectX-7 0, 1            |-- ConnectX-7 2, 3            to the switches of the rack)
//     `-- BlueField-3                `-- BlueField-3
//
// The machines do not see the switches: NCCL writes fffffff:ff:ff.0 for all of them together. Five
// chip-to-chip links of 44.712 GB/s per GPU, about half of Grace's 450 GB/s per direction: as NCCL
// dumps the GB300 trays of the same board (`<c2c bw="44712" count="5"/>`). PCI domains are made up.
#include <fmt/format.h>

#include "topology/presets/parts/builder.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

constexpr int kTrays = 18;
constexpr int kCpusPerTray = 2;
constexpr int kGpusPerCpu = 2;
constexpr int kNvlinks = 18;
constexpr int kChipToChipLinks = 5;
constexpr Bandwidth kChipToChip = Bandwidth::gigabytesPerSecond(44.712);

/// On Grace every root port has a PCI domain of its own.
BusId inDomain(int cpu, int port) {
  return {.domain = static_cast<std::uint32_t>(0x10 * cpu + port), .bus = 1};
}

void addSuperchip(MachineBuilder& builder, int cpu, const std::string& tray) {
  const Slots ports = builder.rootPorts(cpu, tray);
  for (int i = 0; i < kGpusPerCpu; ++i) {
    const int gpu = builder.addGpu(ports, inDomain(cpu, 8 + i), models::kGb200);
    builder.addNvlinks(gpu, kInvisibleSwitch, kNvlinks, pci_class::kNvSwitch);
    builder.addChipToChip(gpu, kChipToChipLinks, kChipToChip);
  }
  for (int i = 0; i < kGpusPerCpu; ++i)
    builder.addNic(ports, inDomain(cpu, 2 * i), models::kConnectX7);
}

Inventory make() {
  MachineBuilder builder("gb200-nvl72");
  for (int number = 0; number < kTrays; ++number) {
    const std::string tray = fmt::format("tray{}", number);
    builder.addCpus(models::kGrace, kCpusPerTray, 1, tray);
    for (int cpu = 0; cpu < kCpusPerTray; ++cpu) addSuperchip(builder, cpu, tray);
    for (int cpu = 0; cpu < kCpusPerTray; ++cpu)
      builder.addNic(builder.rootPorts(cpu, tray), inDomain(cpu, 6), models::kBlueField3);
  }
  return builder.take();
}

}  // namespace

extern const Preset kPresetsGb200Nvl72{
    "gb200-nvl72", "72 GB200 in 18 trays behind NVSwitch, 36 Grace CPUs: a rack of NVIDIA's", make};

}  // namespace lockstep::topology
