#include "topology/readers/hwloc/os_devices.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "topology/inventory/guid.hpp"
#include "topology/readers/hwloc/objects.hpp"

namespace lockstep::topology::hwloc_xml {
namespace {

/// CUDA's numbers come last: CUDA_VISIBLE_DEVICES changes them.
constexpr std::array<std::string_view, 3> kGpuDrivers{"nvml", "rsmi", "cuda"};
constexpr int kMostPorts = 16;

std::string_view nameOf(const OsDevice& device) {
  return device.object.attribute("name").value();
}

/// 3 for "nvml3" of "nvml".
std::optional<int> numberAfter(std::string_view name, std::string_view driver) {
  if (!name.starts_with(driver)) return std::nullopt;
  return numberIn(name.substr(driver.size()));
}

bool isRdma(const OsDevice& device) {
  return !infoOf(device.object, "NodeGUID").empty();
}

bool isNetwork(const OsDevice& device) {
  return !infoOf(device.object, "Address").empty();
}

void addGpus(Inventory& inventory, const std::vector<OsDevice>& devices) {
  std::map<int, int> gpus;  // rows by PCI row
  for (const std::string_view driver : kGpuDrivers)
    for (const OsDevice& device : devices) {
      const std::optional<int> number = numberAfter(nameOf(device), driver);
      if (!number) continue;
      const auto [known, isNew] = gpus.emplace(device.pci, static_cast<int>(inventory.gpus.size()));
      if (isNew) {
        inventory.gpus.emplace_back();
        inventory.gpus.back().pci = device.pci;
        inventory.gpus.back().device = *number;
      }
      Gpu& gpu = inventory.gpus[static_cast<std::size_t>(known->second)];
      for (const char* uuid : {"NVIDIAUUID", "AMDUUID"})
        if (gpu.uuid.empty()) gpu.uuid = infoOf(device.object, uuid);
      const std::string_view model = infoOf(device.object, "GPUModel");
      if (!model.empty()) inventory.pci[static_cast<std::size_t>(device.pci)].name = model;
    }
  std::stable_sort(inventory.gpus.begin(), inventory.gpus.end(),
                   [](const Gpu& a, const Gpu& b) { return a.pci < b.pci; });
}

void addPorts(Inventory& inventory, const OsDevice& device) {
  Nic nic;
  nic.pci = device.pci;
  nic.name = nameOf(device);
  nic.guid = guidAsNcclWrites(infoOf(device.object, "SysImageGUID"));
  if (nic.guid.empty()) nic.guid = guidAsNcclWrites(infoOf(device.object, "NodeGUID"));
  bool any = false;
  for (int port = 1; port <= kMostPorts; ++port) {
    const std::string_view state = infoOf(device.object, fmt::format("Port{}State", port));
    if (state.empty()) continue;
    nic.port = port;
    nic.up = state == "4";  // IB_PORT_ACTIVE
    inventory.nics.push_back(nic);
    any = true;
  }
  if (!any) inventory.nics.push_back(nic);
}

void addNics(Inventory& inventory, const std::vector<OsDevice>& devices) {
  std::set<int> rdma;  // PCI rows: their network interfaces are the same ports once more
  for (const OsDevice& device : devices)
    if (isRdma(device)) rdma.insert(device.pci);
  for (const OsDevice& device : devices) {
    if (isRdma(device)) {
      addPorts(inventory, device);
    } else if (isNetwork(device) && !rdma.contains(device.pci)) {
      Nic nic;
      nic.pci = device.pci;
      nic.name = nameOf(device);
      inventory.nics.push_back(nic);
    }
  }
}

}  // namespace

void addOsDevices(Inventory& inventory, const std::vector<OsDevice>& devices) {
  addGpus(inventory, devices);
  addNics(inventory, devices);
}

}  // namespace lockstep::topology::hwloc_xml
