#include "topology/probes/nvml/gather.hpp"

#include <algorithm>
#include <array>

#include "topology/probes/nvml/text.hpp"

namespace lockstep::topology::nvml {
namespace {

/// What a function that writes one value answers to these arguments.
template <class Value, class Function, class... Arguments>
Answer<Value> ask(Function* function, Arguments... arguments) {
  if (function == nullptr) return {};
  Answer<Value> answer;
  answer.result = function(arguments..., &answer.value);
  if (!answer.known()) answer.value = Value{};  // what a call that failed leaves means nothing
  return answer;
}

template <std::size_t bytes, class Function, class... Arguments>
Answer<std::string> askText(Function* function, Arguments... arguments) {
  if (function == nullptr) return {};
  std::array<char, bytes> text{};
  const Return result = function(arguments..., text.data(), static_cast<unsigned>(bytes));
  if (result != Return::success) return {result, {}};
  return {result, printable(text.data(), text.size())};
}

/// The same answer, as something else.
template <class Value, class From, class Convert>
Answer<Value> as(const Answer<From>& answer, Convert convert) {
  if (!answer.known()) return {answer.result, {}};
  return {answer.result, convert(answer.value)};
}

std::string busIdOf(const PciInfo& info) {
  return printable(info.busId.data(), info.busId.size());
}

Answer<ComputeCapability> askCapability(const Functions& nvml, Device device) {
  Answer<ComputeCapability> answer;
  answer.result =
      nvml.nvmlDeviceGetCudaComputeCapability(device, &answer.value.major, &answer.value.minor);
  return answer;
}

/// Asked for its capability first: Hopper trains links when asked (NCCL, src/graph/xml.cc).
LinkRecord askLink(const Functions& nvml, Device device, unsigned number) {
  LinkRecord link;
  link.p2p = ask<unsigned>(nvml.nvmlDeviceGetNvLinkCapability, device, number,
                           LinkCapability::p2pSupported);
  link.state = ask<Enabled>(nvml.nvmlDeviceGetNvLinkState, device, number);
  if (!link.state.known() || link.state.value == 0) return link;
  link.remote = as<std::string>(
      ask<PciInfo>(nvml.nvmlDeviceGetNvLinkRemotePciInfo_v2, device, number), busIdOf);
  link.remoteType = ask<RemoteType>(nvml.nvmlDeviceGetNvLinkRemoteDeviceType, device, number);
  return link;
}

std::vector<LinkRecord> askLinks(const Functions& nvml, Device device) {
  std::vector<LinkRecord> links;
  for (unsigned number = 0; number < kMostLinks; ++number) {
    links.push_back(askLink(nvml, device, number));
    if (links.back().state.result == Return::gpuIsLost) break;  // each call may take long
  }
  return links;
}

Answer<unsigned> askField(const Functions& nvml, Device device, Field field, unsigned scope) {
  if (nvml.nvmlDeviceGetFieldValues == nullptr) return {};
  FieldValue value;
  value.fieldId = field;
  value.scopeId = scope;
  const Return result = nvml.nvmlDeviceGetFieldValues(device, 1, &value);
  if (result != Return::success) return {result, 0};
  if (value.nvmlReturn != Return::success) return {value.nvmlReturn, 0};
  // Drivers tell counts in any of the three; in little-endian words the first 32 bits are the same.
  const bool isCount = value.valueType == ValueType::unsignedInt ||
                       value.valueType == ValueType::unsignedLong ||
                       value.valueType == ValueType::unsignedLongLong;
  if (!isCount) return {Return::unknown, 0};
  return {Return::success, value.value.unsignedInt};
}

constexpr int kHopper = 9;  // compute capability

Answer<ChipToChipRecord> askChipToChip(const Functions& nvml, Device device) {
  const Answer<unsigned> count = askField(nvml, device, Field::c2cLinkCount, 0);
  Answer<ChipToChipRecord> answer{count.result, {}};
  for (unsigned number = 0; number < std::min(count.value, kMostLinks); ++number) {
    if (askField(nvml, device, Field::c2cLinkStatus, number).value != 1) continue;
    const auto bandwidth = askField(nvml, device, Field::c2cLinkMaxBandwidth, number);
    if (!bandwidth.known()) continue;
    ++answer.value.active;
    answer.value.megabytesPerSecond = bandwidth.value;
  }
  return answer;
}

/// By the newer function; by the older one where the driver has no newer, or not of this version.
Answer<FabricRecord> askFabric(const Functions& nvml, Device device) {
  const auto info = ask<FabricInfoV2>(nvml.nvmlDeviceGetGpuFabricInfoV, device);
  const bool tooOld =
      info.result == Return::functionNotFound || info.result == Return::argumentVersionMismatch;
  if (!tooOld)
    return as<FabricRecord>(info, [](const FabricInfoV2& v2) { return FabricRecord{v2, true}; });
  return as<FabricRecord>(ask<FabricInfoV1>(nvml.nvmlDeviceGetGpuFabricInfo, device),
                          [](const FabricInfoV1& v1) {
                            FabricRecord record;
                            record.info.clusterUuid = v1.clusterUuid;
                            record.info.status = v1.status;
                            record.info.cliqueId = v1.cliqueId;
                            record.info.state = v1.state;
                            return record;
                          });
}

GpuRecord askGpu(const Functions& nvml, Device device) {
  GpuRecord gpu;
  gpu.pci = as<PciRecord>(ask<PciInfo>(nvml.nvmlDeviceGetPciInfo_v3, device), [](const PciInfo& i) {
    return PciRecord{busIdOf(i), i.pciDeviceId, i.pciSubSystemId};
  });
  gpu.capability = askCapability(nvml, device);
  gpu.name = askText<kNameBytes>(nvml.nvmlDeviceGetName, device);
  gpu.uuid = askText<kUuidBytes>(nvml.nvmlDeviceGetUUID, device);
  gpu.generation = ask<unsigned>(nvml.nvmlDeviceGetCurrPcieLinkGeneration, device);
  gpu.width = ask<unsigned>(nvml.nvmlDeviceGetCurrPcieLinkWidth, device);
  gpu.mostGeneration = ask<unsigned>(nvml.nvmlDeviceGetMaxPcieLinkGeneration, device);
  gpu.mostWidth = ask<unsigned>(nvml.nvmlDeviceGetMaxPcieLinkWidth, device);
  gpu.links = askLinks(nvml, device);
  // No GPU before Hopper has such links, and drivers of their time do not know the question.
  if (gpu.capability.known() && gpu.capability.value.major >= kHopper)
    gpu.chipToChip = askChipToChip(nvml, device);
  gpu.fabric = askFabric(nvml, device);
  return gpu;
}

/// Of every GPU to every other. `devices` are null where there is no handle.
void askPeers(const Functions& nvml, const std::vector<Device>& devices,
              std::vector<GpuRecord>& gpus) {
  for (std::size_t i = 0; i < devices.size(); ++i)
    for (std::size_t j = 0; j < devices.size(); ++j) {
      if (i == j || devices[i] == nullptr || devices[j] == nullptr) continue;
      const auto status = [&](P2pIndex what) {
        return ask<P2pStatus>(nvml.nvmlDeviceGetP2PStatus, devices[i], devices[j], what);
      };
      gpus[i].peers.push_back(
          {static_cast<int>(j), status(P2pIndex::read), status(P2pIndex::nvlink)});
    }
}

}  // namespace

MachineRecord gather(const Functions& nvml) {
  MachineRecord machine;
  machine.missing = nvml.missing;
  machine.driver = askText<kDriverBytes>(nvml.nvmlSystemGetDriverVersion);
  machine.settings = ask<CcSettings>(nvml.nvmlSystemGetConfComputeSettings);
  if (!machine.settings.known()) machine.state = ask<CcState>(nvml.nvmlSystemGetConfComputeState);
  machine.count = ask<unsigned>(nvml.nvmlDeviceGetCount_v2);
  std::vector<Device> devices;
  for (unsigned index = 0; index < std::min(machine.count.value, kMostGpus); ++index) {
    const auto handle = ask<Device>(nvml.nvmlDeviceGetHandleByIndex_v2, index);
    const bool usable = handle.known() && handle.value != nullptr;
    devices.push_back(usable ? handle.value : nullptr);
    machine.gpus.push_back(usable ? askGpu(nvml, handle.value) : GpuRecord{});
    machine.gpus.back().index = static_cast<int>(index);
    machine.gpus.back().handle = handle.known() && !usable ? Return::unknown : handle.result;
  }
  askPeers(nvml, devices, machine.gpus);
  return machine;
}

}  // namespace lockstep::topology::nvml
