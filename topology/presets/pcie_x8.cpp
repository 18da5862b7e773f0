// Eight PCIe GPUs without NVLink. A shape of many vendors, here with the parts of NVIDIA's
// Enterprise Reference Architecture "2-8-5-200": 2 CPUs, 8 GPUs, 5 NICs, 200 Gb/s of network per
// GPU; so one ConnectX-7 of 400 Gb/s for two GPUs, and a BlueField-3 for the way out. L40S data
// sheet: PCIe Gen4 x16, no NVLink.
//
//   NUMA 0                                  NUMA 1
//   |-- switch -- GPU0, GPU1, mlx5_0        |-- switch -- GPU4, GPU5, mlx5_2
//   |-- switch -- GPU2, GPU3, mlx5_1        `-- switch -- GPU6, GPU7, mlx5_3
//   `-- mlx5_4 (BlueField-3)
#include "topology/presets/parts/builder.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

constexpr int kSockets = 2;
constexpr int kSwitchesPerSocket = 2;
constexpr int kGpusPerSwitch = 2;

/// Buses of one socket are 80 hexadecimal after those of the other; each switch has 10 of them.
BusId busOf(int socket, int group, int offset) {
  return {.bus = static_cast<std::uint8_t>(0x80 * socket + 0x10 * group + offset)};
}

Inventory make() {
  MachineBuilder builder("pcie-x8");
  builder.addCpus(models::kXeon8480C, kSockets);
  for (int socket = 0; socket < kSockets; ++socket)
    for (int i = 1; i <= kSwitchesPerSocket; ++i) {
      const Slots below =
          builder.addSwitch(builder.rootPorts(socket), busOf(socket, i, 0), models::kGen5);
      for (int gpu = 0; gpu < kGpusPerSwitch; ++gpu)
        builder.addGpu(below, busOf(socket, i, 2 + gpu), models::kL40S);
      builder.addNic(below, busOf(socket, i, 8), models::kConnectX7);
    }
  builder.addNic(builder.rootPorts(0), busOf(0, 5, 0), models::kBlueField3);
  return builder.take();
}

}  // namespace

extern const Preset kPresetsPcieX8{
    "pcie-x8", "8 L40S behind 4 PCIe switches on 2 sockets, no NVLink, 5 NICs", make};

}  // namespace lockstep::topology
