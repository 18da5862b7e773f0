// Machines for tests, by name. To add one: a function, and its line in the table.
#include "topology/fake_nvml/machine.hpp"

namespace lockstep::topology::nvml::fake {
namespace {

std::string busId(const char* bus) {
  return std::string("00000000:") + bus + ":00.0";
}

/// A DGX H100, as recorded from bare metal: 18 links from each GPU, over four NVSwitches.
///
///    GPU0 0F   GPU1 2D   GPU2 44   GPU3 5B   GPU4 89   GPU5 A8   GPU6 C0   GPU7 D8
///      |         |         |         |         |         |         |         |
///      +----- each: 5 links to 1C, 5 to 1B, 4 to 1A, 4 to 1D (NVSwitches) ----+
Machine h100x8() {
  Machine machine;
  for (const char* bus : {"0F", "2D", "44", "5B", "89", "A8", "C0", "D8"}) {
    Gpu gpu;
    gpu.busId = busId(bus);
    gpu.uuid = std::string("GPU-00000000-0000-0000-0000-0000000000") + bus;
    gpu.fabric.state = 3;
    for (int i = 0; i < 18; ++i) {
      constexpr std::array<const char*, 4> kSwitches{"1C", "1B", "1A", "1D"};
      gpu.links.push_back({.remote = busId(kSwitches[static_cast<std::size_t>(i % 4)])});
    }
    machine.gpus.push_back(gpu);
  }
  return machine;
}

/// h100x8, but link 7 of GPU3 (the second to 1D) is down.
Machine deadLink() {
  Machine machine = h100x8();
  machine.gpus[3].links[7].active = false;
  return machine;
}

/// h100x8, but GPU5 fell off the bus: the driver only remembers where it was.
Machine lostGpu() {
  Machine machine = h100x8();
  machine.gpus[5].state = Return::gpuIsLost;
  return machine;
}

/// h100x8, but GPU2 does not even give a handle.
Machine goneGpu() {
  Machine machine = h100x8();
  machine.gpus[2].handle = Return::gpuIsLost;
  return machine;
}

/// h100x8 in a virtual machine that hides its switches. Of GPU0 the driver does not say either that
/// they are switches.
Machine hiddenSwitches() {
  Machine machine = h100x8();
  for (Gpu& gpu : machine.gpus)
    for (Link& link : gpu.links) link.remote.clear();
  for (Link& link : machine.gpus[0].links) link.type = RemoteType::unknown;
  return machine;
}

///    GPU0 01 ==4== GPU1 41      (A100 over PCIe, one bridge of three: 8 of 12 links go nowhere)
Machine bridgedPair() {
  Machine machine;
  for (const auto& [mine, peer] : {std::pair("01", "41"), std::pair("41", "01")}) {
    Gpu gpu;
    gpu.busId = busId(mine);
    gpu.name = "NVIDIA A100 80GB PCIe";
    gpu.major = 8;
    gpu.generation = 1;  // idle
    gpu.mostGeneration = 4;
    for (int i = 0; i < 12; ++i)
      gpu.links.push_back({.active = i < 4, .remote = busId(peer), .type = RemoteType::gpu});
    machine.gpus.push_back(gpu);
  }
  machine.confidential = false;
  return machine;
}

/// Two GPUs that may not reach each other.
Machine noPeers() {
  Machine machine;
  for (const char* bus : {"01", "41"}) {
    Gpu gpu;
    gpu.busId = busId(bus);
    machine.gpus.push_back(gpu);
  }
  machine.read = P2pStatus::chipsetNotSupported;
  machine.nvlink = P2pStatus::notSupported;
  return machine;
}

///    Grace 0 ==C2C== GPU0 \                      (one tray of a GB200 NVL72: switches are
///    Grace 0 ==C2C== GPU1  }== 18 links each      in other trays, not on this machine's PCI)
///    Grace 1 ==C2C== GPU2  }
///    Grace 1 ==C2C== GPU3 /
Machine gb200Tray() {
  Machine machine;
  for (const char* domain : {"00000008", "00000009", "00000018", "00000019"}) {
    Gpu gpu;
    gpu.busId = std::string(domain) + ":01:00.0";
    gpu.name = "NVIDIA GB200";
    gpu.major = 10;
    gpu.links.resize(18);
    gpu.chipToChipLinks = 10;
    gpu.fabric = {.state = 3, .clusterByte = 0xab, .clique = 32766, .health = 0x5aa};
    machine.gpus.push_back(gpu);
  }
  return machine;
}

/// Nothing that the driver says makes sense.
Machine garbage() {
  Machine machine;
  Gpu gpu;
  gpu.busId = busId("01");
  gpu.name = std::string(200, '\x1b');
  gpu.uuid = std::string(200, 'u');
  gpu.major = -5;
  gpu.pciDeviceId = 0;
  gpu.generation = 4000000000U;
  gpu.width = 4000000000U;
  gpu.chipToChipLinks = 4000000000U;
  gpu.links.resize(100, {.remote = "\x01\x02", .type = static_cast<RemoteType>(77)});
  gpu.fabric.state = 77;
  machine.gpus = {gpu, gpu, gpu};
  machine.gpus[2].busId = std::string(40, 'z');
  machine.count = 4000000000U;
  machine.driver = "\x1b[2J" + std::string(200, '5');
  machine.settings.multiGpuMode = static_cast<CcMultiGpu>(77);
  machine.read = static_cast<P2pStatus>(77);
  return machine;
}

Machine with(Return init) {
  Machine machine;
  machine.init = init;
  return machine;
}

Machine confidential(Machine machine, Enabled feature, CcMultiGpu mode) {
  machine.settings.environment = CcEnvironment::production;
  machine.settings.ccFeature = feature;
  machine.settings.multiGpuMode = mode;
  return machine;
}

/// As drivers answer: only multiGpuMode tells that it is on.
Machine protectedPcie() {
  Machine machine = confidential(h100x8(), 0, CcMultiGpu::protectedPcie);
  machine.settings.environment = CcEnvironment::unavailable;
  return machine;
}

/// One GPU given to a confidential virtual machine: it shows no NVLink.
Machine singleGpu() {
  Machine machine = h100x8();
  machine.gpus.resize(1);
  machine.gpus[0].links.clear();
  return confidential(machine, 1, CcMultiGpu::none);
}

Machine devTools() {
  Machine machine = singleGpu();
  machine.settings.devToolsMode = 1;
  return machine;
}

struct Named {
  std::string_view name;
  Machine (*make)();
};

constexpr Named kScenarios[] = {
    {"h100x8", h100x8},
    {"dead-link", deadLink},
    {"lost-gpu", lostGpu},
    {"gone-gpu", goneGpu},
    {"hidden-switches", hiddenSwitches},
    {"bridged-pair", bridgedPair},
    {"no-peers", noPeers},
    {"gb200-tray", gb200Tray},
    {"garbage", garbage},
    {"no-gpus", [] { return Machine{}; }},
    {"version-mismatch", [] { return with(Return::versionMismatch); }},
    {"driver-not-loaded", [] { return with(Return::driverNotLoaded); }},
    {"cc-off", [] { return confidential(h100x8(), 0, CcMultiGpu::none); }},
    {"cc-single", singleGpu},
    {"cc-devtools", devTools},
    {"cc-protected-pcie", protectedPcie},
    {"cc-nvle-alone", [] { return confidential(h100x8(), 0, CcMultiGpu::nvle); }},
    {"cc-multi", [] { return confidential(h100x8(), 1, CcMultiGpu::nvle); }},
};

}  // namespace

Machine scenario(std::string_view name) {
  for (const Named& known : kScenarios)
    if (known.name == name) return known.make();
  return with(Return::unknown);
}

}  // namespace lockstep::topology::nvml::fake
