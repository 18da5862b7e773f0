#include "topology/probes/nvml/classify.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/inventory/pcie.hpp"
#include "topology/probes/nvml/untold.hpp"
#include "topology/probes/nvml/words.hpp"

namespace lockstep::topology::nvml {
namespace {

/// How a remark calls a GPU.
std::string nameOf(const GpuRecord& gpu) {
  if (gpu.pci.value.busId.empty()) return fmt::format("GPU {}", gpu.index);
  return fmt::format("GPU {} ({})", gpu.index, gpu.pci.value.busId);
}

std::string whyNoBusId(const GpuRecord& gpu) {
  if (gpu.handle != Return::success) return describe(gpu.handle);
  if (!gpu.pci.known()) return describe(gpu.pci.result);
  return fmt::format("its bus id is '{}'", gpu.pci.value.busId);
}

/// These say that the GPU does not work; others that the driver does not, or may not, tell.
bool meansLost(Return result) {
  return result == Return::gpuIsLost || result == Return::resetRequired ||
         result == Return::gpuNotFound || result == Return::timeout;
}

/// Why the GPU is as good as not there; success where it works.
Return lossOf(const GpuRecord& gpu) {
  for (const Return result : {gpu.handle, gpu.pci.result, gpu.capability.result, gpu.name.result,
                              gpu.uuid.result, gpu.generation.result})
    if (meansLost(result)) return result;
  return Return::success;
}

int smOf(const ComputeCapability& capability) {
  const bool sane = capability.major > 0 && capability.major < 100 && capability.minor >= 0 &&
                    capability.minor < 10;
  return sane ? capability.major * 10 + capability.minor : 0;
}

/// PCIe has 32 lanes at most, and seven generations so far: more is not known rather than wrong.
PcieLink pcieLink(unsigned generation, unsigned width) {
  PcieLink link;
  if (generation < 100) link.speed = pcieRate(static_cast<int>(generation));
  if (width <= 32) link.width = static_cast<int>(width);
  return link;
}

/// A device's number and its vendor's, as one. No vendor is 0.
void setIds(std::uint32_t both, std::optional<std::uint16_t>& vendor,
            std::optional<std::uint16_t>& device) {
  if (both == 0) return;
  vendor = static_cast<std::uint16_t>(both & 0xffffU);
  device = static_cast<std::uint16_t>(both >> 16U);
}

PciDevice pciDevice(const GpuRecord& gpu, const BusId& id, Untold& untold) {
  PciDevice device;
  device.id = id;
  device.classCode = pci_class::k3d;
  setIds(gpu.pci.value.deviceId, device.vendor, device.device);
  setIds(gpu.pci.value.subsystemId, device.subsystemVendor, device.subsystemDevice);
  device.link =
      pcieLink(untold.valueOr(gpu.generation, "PCIe link"), untold.valueOr(gpu.width, "PCIe link"));
  device.capable = pcieLink(untold.valueOr(gpu.mostGeneration, "PCIe link"),
                            untold.valueOr(gpu.mostWidth, "PCIe link"));
  device.name = untold.valueOr(gpu.name, "name");
  return device;
}

std::optional<FabricState> fabricState(const Answer<FabricRecord>& answer, Untold& untold) {
  const FabricRecord* record = untold.value(answer, "fabric state");
  if (record == nullptr) return std::nullopt;
  const FabricInfoV2& info = record->info;
  if (info.state > static_cast<std::uint8_t>(FabricState::State::completed)) {
    untold.note(Return::unknown, "fabric state");
    return std::nullopt;
  }
  FabricState fabric;
  fabric.state = static_cast<FabricState::State>(info.state);
  fabric.status = static_cast<std::uint32_t>(info.status);
  fabric.clusterUuid = fmt::format("{:02x}", fmt::join(info.clusterUuid, ""));
  fabric.clique = info.cliqueId;
  if (record->hasHealth) fabric.health = info.healthMask;
  return fabric;
}

std::vector<ChipToChip> chipToChip(const Answer<ChipToChipRecord>& answer, Untold& untold) {
  const ChipToChipRecord* record = untold.value(answer, "C2C links");
  if (record == nullptr || record->active == 0) return {};
  ChipToChip links;
  links.count = static_cast<int>(record->active);
  links.each = Bandwidth::bytesPerSecond(record->megabytesPerSecond * 1e6);
  return {links};
}

class Classifier {
 public:
  explicit Classifier(const MachineRecord& machine) : machine_(machine) {}

  Finding classified() {
    inventory().source = "NVML";
    addDriver();
    remarkCount();
    for (const GpuRecord& gpu : machine_.gpus) addLost(gpu);
    for (const GpuRecord& gpu : machine_.gpus) addDevice(gpu);
    for (const GpuRecord& gpu : machine_.gpus)
      if (rowOf(gpu.index) != kNone) addFacts(gpu);
    remarkLinks();
    peers_.tell("some GPUs", remarks());
    return std::move(finding_);
  }

 private:
  Inventory& inventory() { return finding_.inventory; }
  std::vector<std::string>& remarks() { return finding_.remarks; }
  template <class... Args>
  void remark(fmt::format_string<Args...> text, Args&&... args) {
    remarks().push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  int rowOf(int index) const {
    const auto found = rows_.find(index);
    return found == rows_.end() ? kNone : found->second;
  }

  void addDriver() {
    Untold untold;
    inventory().driver.version = untold.valueOr(machine_.driver, "version");
    inventory().driver.confidential = confidentialComputing(machine_);
    if (!inventory().driver.confidential)
      untold.note(machine_.settings.result, "confidential computing");
    untold.value(machine_.count, "number of GPUs");
    untold.tell("the NVIDIA driver", remarks());
    if (!machine_.missing.empty())
      remark("the NVIDIA driver is too old to tell everything: it has no {}",
             fmt::join(machine_.missing, ", "));
    const CcMultiGpu mode = machine_.settings.value.multiGpuMode;
    if (mode > CcMultiGpu::nvle)
      remark("confidential computing: multi-GPU mode {} means nothing to us",
             static_cast<std::uint32_t>(mode));
  }

  void remarkCount() {
    const unsigned count = machine_.count.value;
    if (machine_.count.known() && count == 0)
      remark("the NVIDIA driver is there, and shows no GPU");
    if (count > machine_.gpus.size())
      remark("the NVIDIA driver claims {} GPUs; {} were looked at", count, machine_.gpus.size());
  }

  void addLost(const GpuRecord& gpu) {
    if (const Return loss = lossOf(gpu); loss != Return::success)
      inventory().driver.lost.push_back(
          {gpu.index, parseBusId(gpu.pci.value.busId), describe(loss)});
  }

  /// Rows first: links and peers refer to GPUs that come later.
  void addDevice(const GpuRecord& gpu) {
    const std::optional<BusId> id = parseBusId(gpu.pci.value.busId);
    const bool twice = id && findPci(inventory(), {}, *id) != kNone;
    if (!id || twice) {
      remark("{} is left out: {}", nameOf(gpu), twice ? "another has its bus id" : whyNoBusId(gpu));
      return;
    }
    rows_[gpu.index] = static_cast<int>(inventory().gpus.size());
    buses_.push_back(*id);
    inventory().gpus.emplace_back().pci = static_cast<int>(inventory().pci.size());
    inventory().pci.push_back(pciDevice(gpu, *id, untold_[gpu.index]));
  }

  void addFacts(const GpuRecord& gpu) {
    Gpu& row = inventory().gpus[static_cast<std::size_t>(rowOf(gpu.index))];
    Untold& untold = untold_[gpu.index];
    row.device = gpu.index;
    row.sm = smOf(untold.valueOr(gpu.capability, "compute capability"));
    row.uuid = untold.valueOr(gpu.uuid, "UUID");
    addLinks(gpu, row, untold);
    row.chipToChip = chipToChip(gpu.chipToChip, untold);
    row.fabric = fabricState(gpu.fabric, untold);
    addPeers(gpu, row);
    untold.tell(nameOf(gpu), remarks());
  }

  void addLinks(const GpuRecord& gpu, Gpu& row, Untold& untold) {
    for (const LinkRecord& link : gpu.links)
      if (link.state.result != Return::invalidArgument) untold.value(link.state, "NVLinks");
    std::vector<int> nowhere;
    classifyLinks(gpu.links, buses_, row, nowhere);
    if (!nowhere.empty())
      remark("{}: the driver does not say where its NVLinks {} lead", nameOf(gpu),
             fmt::join(nowhere, ", "));
  }

  void addPeers(const GpuRecord& gpu, Gpu& row) {
    for (const PeerRecord& peer : gpu.peers) {
      const int other = rowOf(peer.index);
      if (other == kNone) continue;
      const P2pStatus* read = peers_.value(peer.read, "peer access");
      if (read == nullptr) continue;
      PeerAccess access;
      access.gpu = other;
      access.allowed = *read == P2pStatus::ok;
      if (!access.allowed) access.reason = describe(*read);
      if (!access.allowed && peer.nvlink.known() && peer.nvlink.value != *read)
        access.reason += fmt::format("; over NVLink: {}", describe(peer.nvlink.value));
      row.peers.push_back(access);
    }
  }

  void remarkLinks() {
    const auto any = [&](auto has) {
      return std::any_of(inventory().gpus.begin(), inventory().gpus.end(), has);
    };
    if (any([](const Gpu& gpu) { return !gpu.deadLinks.empty(); }) &&
        !any([](const Gpu& gpu) { return !gpu.links.empty(); }))
      remark("the GPUs have NVLinks, none of them active: no bridge or switch, or turned off");
  }

  const MachineRecord& machine_;
  Finding finding_;
  std::map<int, int> rows_;  // by NVML's number
  std::vector<BusId> buses_;
  std::map<int, Untold> untold_;
  Untold peers_;
};

}  // namespace

Finding classify(const MachineRecord& machine) {
  return Classifier(machine).classified();
}

std::optional<ConfidentialComputing> confidentialComputing(const MachineRecord& machine) {
  ConfidentialComputing result;
  const auto fill = [&](const auto& told) {
    result.feature = told.ccFeature == 1;
    result.production = told.environment == CcEnvironment::production;
    result.devTools = told.devToolsMode == 1;
  };
  if (machine.settings.known()) {
    fill(machine.settings.value);
    const CcMultiGpu mode = machine.settings.value.multiGpuMode;
    result.multiGpuKnown = mode <= CcMultiGpu::nvle;
    if (result.multiGpuKnown) result.multiGpu = static_cast<ConfidentialComputing::MultiGpu>(mode);
    return result;
  }
  if (!machine.state.known()) return std::nullopt;
  fill(machine.state.value);
  return result;
}

}  // namespace lockstep::topology::nvml
