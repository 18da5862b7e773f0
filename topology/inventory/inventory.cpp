#include "topology/inventory/inventory.hpp"

#include <algorithm>

#include "base/fail.hpp"

namespace lockstep::topology {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint16_t kAmd = 0x1002;

/// Made by someone who makes GPUs.
bool fromGpuMaker(const PciDevice& device) {
  return device.vendor == kNvidia || device.vendor == kAmd;
}

bool isRow(int row, std::size_t size) {
  return row >= 0 && static_cast<std::size_t>(row) < size;
}

template <class Row, class Matches>
int rowWhere(const std::vector<Row>& rows, Matches matches) {
  const auto found = std::find_if(rows.begin(), rows.end(), matches);
  return found == rows.end() ? kNone : static_cast<int>(found - rows.begin());
}

}  // namespace

const std::string& hostOf(const Inventory& inventory, const PciDevice& device) {
  static const std::string none;
  return device.cpu == kNone ? none : inventory.cpus[static_cast<std::size_t>(device.cpu)].host;
}

int findPci(const Inventory& inventory, const std::string& host, const BusId& id) {
  return rowWhere(inventory.pci, [&](const PciDevice& device) {
    return device.id == id && hostOf(inventory, device) == host;
  });
}

int findCpu(const Inventory& inventory, const std::string& host, int numa) {
  return rowWhere(inventory.cpus,
                  [&](const Cpu& cpu) { return cpu.numa == numa && cpu.host == host; });
}

int gpuAt(const Inventory& inventory, int pci) {
  return rowWhere(inventory.gpus, [&](const Gpu& gpu) { return gpu.pci == pci; });
}

bool looksLikeGpu(const PciDevice& device) {
  const std::uint32_t kind = pci_class::withoutInterface(device.classCode);
  if (kind == pci_class::k3d) return !device.vendor || fromGpuMaker(device);
  // Boards' own VGA chips, and accelerators that are no GPUs, are many.
  return fromGpuMaker(device) && (kind == pci_class::kVga || kind == pci_class::kAccelerator ||
                                  (kind == pci_class::kOtherDisplay && device.vendor == kAmd));
}

bool looksLikeNic(const PciDevice& device) {
  const std::uint32_t kind = pci_class::withoutInterface(device.classCode);
  return kind == pci_class::kEthernet || kind == pci_class::kInfiniband;
}

bool isSwitch(const PciDevice& device) {
  return pci_class::withoutInterface(device.classCode) == pci_class::kBridge;
}

void requireSound(const Inventory& inventory) {
  const auto require = [](bool sound, const char* kind, std::size_t row, const char* field) {
    if (!sound) fail(ErrorCode::internal, "inventory: {} {} has no such {}", kind, row, field);
  };
  const std::size_t cpus = inventory.cpus.size();
  const std::size_t devices = inventory.pci.size();
  for (std::size_t i = 0; i < devices; ++i) {
    const PciDevice& device = inventory.pci[i];
    require(device.cpu == kNone || isRow(device.cpu, cpus), "PCI device", i, "CPU");
    require(device.parent == kNone || isRow(device.parent, i), "PCI device", i, "parent before it");
  }
  for (std::size_t i = 0; i < inventory.gpus.size(); ++i) {
    require(isRow(inventory.gpus[i].pci, devices), "GPU", i, "PCI device");
    for (const PeerAccess& peer : inventory.gpus[i].peers)
      require(isRow(peer.gpu, inventory.gpus.size()), "GPU", i, "peer");
  }
  for (std::size_t i = 0; i < inventory.nics.size(); ++i) {
    const Nic& nic = inventory.nics[i];
    require(nic.pci == kNone || isRow(nic.pci, devices), "NIC", i, "PCI device");
    require(nic.cpu == kNone || isRow(nic.cpu, cpus), "NIC", i, "CPU");
  }
}

}  // namespace lockstep::topology
