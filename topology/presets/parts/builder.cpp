#include "topology/presets/parts/builder.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "topology/inventory/thread_mask.hpp"

namespace lockstep::topology {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint16_t kMellanox = 0x15b3;

/// Of one NUMA node among `numaNodes` on all sockets.
std::string threadsOf(const CpuModel& model, int sockets, int numaNodes, int numa) {
  const int cores = model.cores * sockets;
  const int share = cores / numaNodes;
  std::vector<bool> threads(static_cast<std::size_t>(cores) *
                            static_cast<std::size_t>(model.threadsPerCore));
  for (std::size_t thread = 0; thread < threads.size(); ++thread)
    threads[thread] = static_cast<int>(thread) % cores / share == numa;
  return threadMask(threads);
}

}  // namespace

MachineBuilder::MachineBuilder(std::string_view preset) {
  inventory_.source = fmt::format("preset {}", preset);
}

void MachineBuilder::addCpus(const CpuModel& model, int sockets, int numaNodes,
                             const std::string& host) {
  const int all = sockets * numaNodes;
  for (int numa = 0; numa < all; ++numa)
    inventory_.cpus.push_back({.host = host,
                               .numa = numa,
                               .package = numa / numaNodes,
                               .affinity = threadsOf(model, sockets, all, numa),
                               .arch = std::string(model.arch),
                               .vendor = std::string(model.vendor),
                               .model = std::string(model.name),
                               .familyId = model.familyId,
                               .modelId = model.modelId,
                               .other = {}});
}

Slots MachineBuilder::rootPorts(int numa, std::string_view host) const {
  const int cpu = findCpu(inventory_, std::string(host), numa);
  if (cpu == kNone) fail(ErrorCode::internal, "{}: no NUMA node {}", inventory_.source, numa);
  return {.cpu = cpu};
}

int MachineBuilder::addPci(Slots where, const BusId& id, std::uint32_t classCode,
                           const PcieLink& link) {
  PciDevice device;
  device.id = id;
  device.cpu = where.cpu;
  device.parent = where.parent;
  device.classCode = classCode;
  device.link = device.capable = link;
  inventory_.pci.push_back(std::move(device));
  return static_cast<int>(inventory_.pci.size()) - 1;
}

Slots MachineBuilder::addSwitch(Slots where, const BusId& id, const PcieLink& link) {
  return {.cpu = where.cpu, .parent = addPci(where, id, pci_class::kBridge, link)};
}

/// Devices are numbered by machine, as CUDA and NCCL do.
int MachineBuilder::gpusOf(const std::string& host) const {
  return static_cast<int>(
      std::count_if(inventory_.gpus.begin(), inventory_.gpus.end(), [&](const Gpu& gpu) {
        return hostOf(inventory_, inventory_.pci[static_cast<std::size_t>(gpu.pci)]) == host;
      }));
}

int MachineBuilder::nicsOf(const std::string& host) const {
  return static_cast<int>(
      std::count_if(inventory_.nics.begin(), inventory_.nics.end(), [&](const Nic& nic) {
        return inventory_.cpus[static_cast<std::size_t>(nic.cpu)].host == host;
      }));
}

int MachineBuilder::addGpu(Slots where, const BusId& id, const GpuModel& model) {
  Gpu gpu;
  gpu.pci = addPci(where, id, pci_class::k3d, model.link);
  PciDevice& device = inventory_.pci.back();
  device.vendor = kNvidia;
  device.device = model.device;
  device.name = model.name;
  gpu.device = gpusOf(hostOf(inventory_, device));
  gpu.sm = model.sm;
  gpu.gpuDirect = true;
  inventory_.gpus.push_back(std::move(gpu));
  return static_cast<int>(inventory_.gpus.size()) - 1;
}

void MachineBuilder::addNic(Slots where, const BusId& id, const NicModel& model, int ports) {
  for (int port = 0; port < ports; ++port) {
    BusId function = id;
    function.function = static_cast<std::uint8_t>(port);
    Nic nic;
    nic.pci = addPci(where, function, model.classCode, model.link);
    PciDevice& device = inventory_.pci.back();
    device.vendor = kMellanox;
    device.device = model.device;
    device.name = model.name;
    nic.cpu = where.cpu;
    nic.device = nicsOf(hostOf(inventory_, device));
    nic.name = fmt::format("mlx5_{}", nic.device);
    nic.speed = model.speed;
    nic.port = 1;
    nic.gpuDirect = true;
    inventory_.nics.push_back(std::move(nic));
  }
}

void MachineBuilder::addNvlinks(int gpu, const BusId& target, int count,
                                std::uint32_t targetClass) {
  inventory_.gpus[static_cast<std::size_t>(gpu)].links.push_back(
      {.target = target, .count = count, .targetClass = targetClass, .other = {}});
}

void MachineBuilder::addChipToChip(int gpu, int count, Bandwidth each) {
  inventory_.gpus[static_cast<std::size_t>(gpu)].chipToChip.push_back(
      {.count = count, .each = each, .other = {}});
}

}  // namespace lockstep::topology
