// libnvidia-ml.so.1 with NVML's own names and ABI, over a machine of scenarios.cpp: the one that
// LOCKSTEP_FAKE_NVML names. FAKE_NVML_DRIVER is the driver's generation, and older ones lack
// functions, about as NVIDIA's did.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "topology/fake_nvml/machine.hpp"
#include "topology/probes/nvml/functions.hpp"

namespace lockstep::topology::nvml {
namespace {

int sessions = 0;  // calls of nvmlInit less calls of nvmlShutdown
fake::Machine machine;

Device handleOf(fake::Gpu& gpu) {
  return reinterpret_cast<Device>(&gpu);
}

fake::Gpu* find(Device device) {
  for (fake::Gpu& gpu : machine.gpus)
    if (handleOf(gpu) == device) return &gpu;
  return nullptr;
}

/// What `answer` returns for this GPU, if it can be asked.
template <class Call>
Return ofGpu(Device device, Call answer) {
  if (sessions == 0) return Return::uninitialized;
  const fake::Gpu* gpu = find(device);
  if (gpu == nullptr) return Return::invalidArgument;
  return gpu->state != Return::success ? gpu->state : answer(*gpu);
}

template <class Call>
Return ofLink(Device device, unsigned number, Call answer) {
  return ofGpu(device, [&](const fake::Gpu& gpu) {
    if (number >= kMostLinks) return Return::invalidArgument;
    return number < gpu.links.size() ? answer(gpu.links[number]) : Return::notSupported;
  });
}

template <class Value>
Return give(Value* out, Value value) {
  *out = value;
  return Return::success;
}

/// Fills all of it where the text is too long: no NUL, as no driver should.
template <std::size_t bytes>
void write(std::array<char, bytes>& out, std::string_view text) {
  std::copy_n(text.data(), std::min(text.size(), bytes), out.data());
}

Return write(char* out, unsigned bytes, std::string_view text) {
  std::memset(out, 0, bytes);
  std::copy_n(text.data(), std::min<std::size_t>(text.size(), bytes), out);
  return Return::success;
}

}  // namespace

// Each is declared with the very type that the probe calls it by.
extern "C" {
#define FAKE_NVML_DECLARE(name, ...) \
  __attribute__((visibility("default"))) std::type_identity_t<__VA_ARGS__> name;
LOCKSTEP_NVML_REQUIRED(FAKE_NVML_DECLARE)
LOCKSTEP_NVML_OPTIONAL(FAKE_NVML_DECLARE)
LOCKSTEP_NVML_FALLBACK(FAKE_NVML_DECLARE)
/// Not NVML's: what is still open.
FAKE_NVML_DECLARE(fakeNvmlSessions, int())

int fakeNvmlSessions() {
  return sessions;
}

Return nvmlInit_v2() {
  const char* name = std::getenv("LOCKSTEP_FAKE_NVML");
  machine = fake::scenario(name == nullptr ? "" : name);
  if (machine.init == Return::success) ++sessions;
  return machine.init;
}

Return nvmlShutdown() {
  if (sessions == 0) return Return::uninitialized;
  --sessions;
  return Return::success;
}

const char* nvmlErrorString(Return result) {
  if (result == Return::versionMismatch) return "Driver/library version mismatch";
  if (result == Return::driverNotLoaded) return "Driver Not Loaded";
  return "Unknown Error";
}

Return nvmlSystemGetDriverVersion(char* out, unsigned bytes) {
  return sessions == 0 ? Return::uninitialized : write(out, bytes, machine.driver);
}

Return nvmlDeviceGetCount_v2(unsigned* count) {
  if (sessions == 0) return Return::uninitialized;
  const auto gpus = static_cast<unsigned>(machine.gpus.size());
  return give(count, machine.count == 0 ? gpus : machine.count);
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  if (sessions == 0) return Return::uninitialized;
  if (index >= machine.gpus.size()) return Return::invalidArgument;
  fake::Gpu& gpu = machine.gpus[index];
  return gpu.handle == Return::success ? give(device, handleOf(gpu)) : gpu.handle;
}

#if FAKE_NVML_DRIVER >= 450
Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* info) {
  if (sessions == 0) return Return::uninitialized;
  const fake::Gpu* gpu = find(device);
  if (gpu == nullptr) return Return::invalidArgument;
  *info = PciInfo{};
  write(info->busId, gpu->busId);
  info->pciDeviceId = gpu->pciDeviceId;
  info->pciSubSystemId = gpu->pciSubSystemId;
  return Return::success;
}
#endif

Return nvmlDeviceGetCudaComputeCapability(Device device, int* major, int* minor) {
  return ofGpu(device, [&](const fake::Gpu& gpu) {
    *major = gpu.major;
    return give(minor, gpu.minor);
  });
}

Return nvmlDeviceGetName(Device device, char* out, unsigned bytes) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return write(out, bytes, gpu.name); });
}

Return nvmlDeviceGetUUID(Device device, char* out, unsigned bytes) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return write(out, bytes, gpu.uuid); });
}

Return nvmlDeviceGetCurrPcieLinkGeneration(Device device, unsigned* out) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return give(out, gpu.generation); });
}

Return nvmlDeviceGetCurrPcieLinkWidth(Device device, unsigned* out) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return give(out, gpu.width); });
}

Return nvmlDeviceGetMaxPcieLinkGeneration(Device device, unsigned* out) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return give(out, gpu.mostGeneration); });
}

Return nvmlDeviceGetMaxPcieLinkWidth(Device device, unsigned* out) {
  return ofGpu(device, [&](const fake::Gpu& gpu) { return give(out, gpu.mostWidth); });
}

Return nvmlDeviceGetNvLinkCapability(Device device, unsigned number, LinkCapability what,
                                     unsigned* out) {
  return ofLink(device, number, [&](const fake::Link&) {
    return what == LinkCapability::p2pSupported ? give(out, 1U) : Return::invalidArgument;
  });
}

Return nvmlDeviceGetNvLinkState(Device device, unsigned number, Enabled* state) {
  return ofLink(device, number, [&](const fake::Link& link) {
    return give(state, Enabled{link.active ? 1U : 0U});
  });
}

Return nvmlDeviceGetNvLinkRemotePciInfo_v2(Device device, unsigned number, PciInfo* info) {
  return ofLink(device, number, [&](const fake::Link& link) {
    if (link.remote.empty()) return Return::notSupported;
    *info = PciInfo{};
    write(info->busId, link.remote);
    return Return::success;
  });
}

Return nvmlDeviceGetP2PStatus(Device a, Device b, P2pIndex what, P2pStatus* status) {
  return ofGpu(a, [&](const fake::Gpu&) {
    return ofGpu(b, [&](const fake::Gpu&) {
      return give(status, what == P2pIndex::read ? machine.read : machine.nvlink);
    });
  });
}

#if FAKE_NVML_DRIVER >= 535
Return nvmlDeviceGetNvLinkRemoteDeviceType(Device device, unsigned number, RemoteType* type) {
  return ofLink(device, number, [&](const fake::Link& link) { return give(type, link.type); });
}

Return nvmlDeviceGetGpuFabricInfo(Device device, FabricInfoV1* info) {
  return ofGpu(device, [&](const fake::Gpu& gpu) {
    info->clusterUuid.fill(gpu.fabric.clusterByte);
    info->status = Return::success;
    info->cliqueId = gpu.fabric.clique;
    info->padding.fill(0xa5);  // a driver copies what is on its stack
    return give(&info->state, static_cast<std::uint8_t>(gpu.fabric.state));
  });
}

Return nvmlSystemGetConfComputeState(CcState* state) {
  if (sessions == 0) return Return::uninitialized;
  if (!machine.confidential) return Return::notSupported;
  const CcSettings& settings = machine.settings;
  return give(state, CcState{settings.environment, settings.ccFeature, settings.devToolsMode});
}

Return nvmlDeviceGetFieldValues(Device device, int count, FieldValue* values) {
  return ofGpu(device, [&](const fake::Gpu& gpu) {
    for (FieldValue* value = values; value != values + count; ++value) {
      const bool isThere = value->scopeId < gpu.chipToChipLinks;
      value->valueType = ValueType::unsignedInt;
      value->nvmlReturn = gpu.chipToChipLinks == 0 ? Return::notSupported : Return::success;
      if (value->fieldId == Field::c2cLinkCount) value->value.unsignedInt = gpu.chipToChipLinks;
      if (value->fieldId == Field::c2cLinkStatus) value->value.unsignedInt = isThere ? 1 : 0;
      if (value->fieldId == Field::c2cLinkMaxBandwidth) value->value.unsignedInt = 44712;
    }
    return Return::success;
  });
}
#endif

#if FAKE_NVML_DRIVER >= 570
Return nvmlDeviceGetGpuFabricInfoV(Device device, FabricInfoV2* info) {
  if (info->version != 0x02000024) return Return::argumentVersionMismatch;
  return ofGpu(device, [&](const fake::Gpu& gpu) {
    info->clusterUuid.fill(gpu.fabric.clusterByte);
    info->status = Return::success;
    info->cliqueId = gpu.fabric.clique;
    info->state = static_cast<std::uint8_t>(gpu.fabric.state);
    info->padding.fill(0xa5);  // a driver copies what is on its stack
    return give(&info->healthMask, gpu.fabric.health);
  });
}

Return nvmlSystemGetConfComputeSettings(CcSettings* settings) {
  if (sessions == 0) return Return::uninitialized;
  if (settings->version != 0x01000014) return Return::argumentVersionMismatch;
  return machine.confidential ? give(settings, machine.settings) : Return::notSupported;
}
#endif
}

}  // namespace lockstep::topology::nvml
