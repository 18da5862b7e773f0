#include "topology/presets/parts/hgx.hpp"

#include "topology/presets/parts/builder.hpp"

namespace lockstep::topology {
namespace {

constexpr int kSockets = 2;
constexpr int kGpusPerSocket = 4;

/// Buses of one socket are 80 hexadecimal after those of the other; each GPU has 10 of them.
BusId busOf(int socket, int group, int offset) {
  return {.bus = static_cast<std::uint8_t>(0x80 * socket + 0x10 * group + offset)};
}

void linkToSwitches(MachineBuilder& builder, int gpu, const std::vector<int>& counts) {
  constexpr int kFirstSwitch = 0x05;
  for (std::size_t chip = 0; chip < counts.size(); ++chip)
    builder.addNvlinks(gpu, {.bus = static_cast<std::uint8_t>(kFirstSwitch + chip)}, counts[chip],
                       pci_class::kNvSwitch);
}

}  // namespace

Inventory makeHgx(const Hgx& machine) {
  MachineBuilder builder(machine.preset);
  builder.addCpus(machine.cpu, kSockets);
  for (int socket = 0; socket < kSockets; ++socket) {
    for (int i = 1; i <= kGpusPerSocket; ++i) {
      const Slots below =
          builder.addSwitch(builder.rootPorts(socket), busOf(socket, i, 0), machine.uplink);
      const int gpu = builder.addGpu(below, busOf(socket, i, 2), machine.gpu);
      linkToSwitches(builder, gpu, machine.linksPerNvSwitch);
      builder.addNic(below, busOf(socket, i, 3), machine.cluster);
    }
  }
  for (int socket = 0; socket < kSockets; ++socket)
    builder.addNic(builder.rootPorts(socket), busOf(socket, 5, 0), machine.storage, 2);
  return builder.take();
}

}  // namespace lockstep::topology
