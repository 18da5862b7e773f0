// The NVML probe over a fake driver, loaded as the real one is: by dlopen, from a file.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>

#include <dlfcn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fuzz/nvml_target.hpp"
#include "topology/discover.hpp"
#include "topology/probes/nvml/classify.hpp"

namespace lockstep::topology {

extern const Probe kProbesNvml;

namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using MultiGpu = ConfidentialComputing::MultiGpu;

std::string libraryOf(int driver) {
  return fmt::format("{}/bin/fake_nvml/{}/libnvidia-ml.so.1", LOCKSTEP_BINARY_DIR, driver);
}

/// What the probe finds on a machine of tests/topology/fake_nvml/scenarios.cpp.
Finding look(const char* scenario, int driver = 570) {
  setenv("LOCKSTEP_FAKE_NVML", scenario, 1);
  Surroundings surroundings;
  surroundings.nvml = libraryOf(driver);
  Finding finding = kProbesNvml.look(surroundings);
  requireSound(finding.inventory);
  return finding;
}

std::string absentWith(const std::string& library) {
  Surroundings surroundings;
  surroundings.nvml = library;
  return kProbesNvml.look(surroundings).absent;
}

/// "target x count (class)" of each row of links.
std::vector<std::string> linksOf(const Gpu& gpu) {
  std::vector<std::string> links;
  for (const GpuLinks& link : gpu.links)
    links.push_back(
        fmt::format("{} x {} ({:06x})", print(link.target), link.count, link.targetClass));
  return links;
}

const std::vector<std::string> kFourSwitches{
    "0000:1c:00.0 x 5 (068000)", "0000:1b:00.0 x 5 (068000)", "0000:1a:00.0 x 4 (068000)",
    "0000:1d:00.0 x 4 (068000)"};

TEST(Nvml, FindsEightGpusBehindFourSwitches) {
  const Finding finding = look("h100x8");
  EXPECT_EQ(finding.absent, "");
  EXPECT_THAT(finding.remarks, IsEmpty());
  const Inventory& inventory = finding.inventory;
  EXPECT_EQ(inventory.driver.version, "570.86.15");
  ASSERT_THAT(inventory.gpus, SizeIs(8));
  std::vector<std::string> buses;
  for (std::size_t i = 0; i < 8; ++i) {
    const Gpu& gpu = inventory.gpus[i];
    EXPECT_EQ(gpu.device, static_cast<int>(i));
    EXPECT_EQ(gpu.sm, 90);
    EXPECT_EQ(linksOf(gpu), kFourSwitches);
    EXPECT_THAT(gpu.deadLinks, IsEmpty());
    EXPECT_THAT(gpu.chipToChip, IsEmpty());
    buses.push_back(print(inventory.pci[static_cast<std::size_t>(gpu.pci)].id));
  }
  EXPECT_THAT(buses, ElementsAre("0000:0f:00.0", "0000:2d:00.0", "0000:44:00.0", "0000:5b:00.0",
                                 "0000:89:00.0", "0000:a8:00.0", "0000:c0:00.0", "0000:d8:00.0"));
  EXPECT_EQ(inventory.gpus[0].uuid, "GPU-00000000-0000-0000-0000-00000000000F");
}

TEST(Nvml, TellsThePciDeviceOfAGpu) {
  const Inventory inventory = look("h100x8").inventory;
  const PciDevice& device = inventory.pci[0];
  EXPECT_EQ(device.classCode, 0x030200U);
  EXPECT_EQ(device.vendor, 0x10de);
  EXPECT_EQ(device.device, 0x2330);
  EXPECT_EQ(device.subsystemVendor, 0x10de);
  EXPECT_EQ(device.subsystemDevice, 0x16c1);
  EXPECT_EQ(device.name, "NVIDIA H100 80GB HBM3");
  EXPECT_EQ(device.link, (PcieLink{TransferRate::gigatransfers(32), 16}));
  EXPECT_EQ(device.capable, device.link);
  EXPECT_EQ(device.cpu, kNone);

  const PciDevice idle = look("bridged-pair").inventory.pci[0];
  EXPECT_EQ(idle.link, (PcieLink{TransferRate::gigatransfers(2.5), 16}));
  EXPECT_EQ(idle.capable, (PcieLink{TransferRate::gigatransfers(16), 16}));
}

TEST(Nvml, NamesADeadLink) {
  const Finding finding = look("dead-link");
  EXPECT_THAT(finding.remarks, IsEmpty());
  for (const Gpu& gpu : finding.inventory.gpus) {
    SCOPED_TRACE(gpu.device);
    if (gpu.device != 3) {
      EXPECT_EQ(linksOf(gpu), kFourSwitches);
      continue;
    }
    EXPECT_THAT(gpu.deadLinks, ElementsAre(7));
    EXPECT_THAT(linksOf(gpu), ElementsAre(kFourSwitches[0], kFourSwitches[1], kFourSwitches[2],
                                          "0000:1d:00.0 x 3 (068000)"));
  }
}

TEST(Nvml, SeesLinksBetweenGpus) {
  for (const int driver : {570, 450}) {  // the old one does not say that they end at GPUs
    SCOPED_TRACE(driver);
    const Inventory inventory = look("bridged-pair", driver).inventory;
    EXPECT_THAT(linksOf(inventory.gpus[0]), ElementsAre("0000:41:00.0 x 4 (030200)"));
    EXPECT_THAT(linksOf(inventory.gpus[1]), ElementsAre("0000:01:00.0 x 4 (030200)"));
    EXPECT_THAT(inventory.gpus[0].deadLinks, ElementsAre(4, 5, 6, 7, 8, 9, 10, 11));
  }
}

TEST(Nvml, TakesHiddenSwitchesForOneAndInventsNone) {
  const Finding finding = look("hidden-switches");
  EXPECT_THAT(linksOf(finding.inventory.gpus[0]), IsEmpty());
  EXPECT_THAT(linksOf(finding.inventory.gpus[1]), ElementsAre("fffffff:ff:ff.0 x 18 (068000)"));
  EXPECT_THAT(finding.remarks,
              ElementsAre(AllOf(HasSubstr("GPU 0 (00000000:0F:00.0)"),
                                HasSubstr("does not say where its NVLinks 0, 1, 2"))));
}

TEST(Nvml, TellsPeerAccess) {
  const Inventory all = look("h100x8").inventory;
  EXPECT_EQ(all.gpus[2].peers.size(), 7U);
  EXPECT_THAT(all.gpus[2].peers, Each(testing::Field(&PeerAccess::allowed, true)));
  EXPECT_EQ(all.gpus[2].peers[2].gpu, 3);

  const Inventory none = look("no-peers").inventory;
  const PeerAccess expected{1, false, "chipset not supported; over NVLink: not supported"};
  EXPECT_THAT(none.gpus[0].peers, ElementsAre(expected));
}

TEST(Nvml, TellsFabricAndChipToChipLinksOfATray) {
  const Finding finding = look("gb200-tray");
  EXPECT_THAT(finding.remarks, IsEmpty());
  const Gpu& gpu = finding.inventory.gpus[2];
  EXPECT_EQ(gpu.sm, 100);
  EXPECT_EQ(finding.inventory.pci[2].id, (BusId{0x18, 1, 0, 0}));
  EXPECT_THAT(linksOf(gpu), ElementsAre("fffffff:ff:ff.0 x 18 (068000)"));
  EXPECT_THAT(gpu.chipToChip,
              ElementsAre(ChipToChip{10, Bandwidth::gigabytesPerSecond(44.712), Attributes{}}));
  FabricState expected{FabricState::State::completed, 0, "abababababababababababababababab", 32766,
                       0x5aa};
  EXPECT_EQ(gpu.fabric, expected);

  expected.health.reset();  // by the older function
  EXPECT_EQ(look("gb200-tray", 535).inventory.gpus[2].fabric, expected);
}

struct CcCase {
  const char* scenario;
  ConfidentialComputing expected;
};

TEST(Nvml, TellsConfidentialModesApart) {
  const CcCase cases[] = {
      {"cc-off", {false, MultiGpu::none, true, true, false}},
      {"cc-single", {true, MultiGpu::none, true, true, false}},
      {"cc-devtools", {true, MultiGpu::none, true, true, true}},
      // ccFeature reads disabled, and the machine is protected nevertheless.
      {"cc-protected-pcie", {false, MultiGpu::protectedPcie, true, false, false}},
      // Encrypted NVLinks alone are not confidential computing: both are needed.
      {"cc-nvle-alone", {false, MultiGpu::nvle, true, true, false}},
      {"cc-multi", {true, MultiGpu::nvle, true, true, false}},
  };
  for (const CcCase& one : cases) {
    SCOPED_TRACE(one.scenario);
    EXPECT_EQ(look(one.scenario).inventory.driver.confidential, one.expected);
  }
  EXPECT_THAT(linksOf(look("cc-single").inventory.gpus[0]), IsEmpty());
}

TEST(Nvml, KnowsWhenADriverCannotTellTheMultiGpuMode) {
  ConfidentialComputing expected{true, MultiGpu::none, false, true, false};
  EXPECT_EQ(look("cc-single", 535).inventory.driver.confidential, expected);
  expected.feature = expected.production = false;
  EXPECT_EQ(look("cc-protected-pcie", 535).inventory.driver.confidential, expected);
  EXPECT_EQ(look("cc-single", 450).inventory.driver.confidential, std::nullopt);
  EXPECT_EQ(look("bridged-pair").inventory.driver.confidential, std::nullopt);
}

TEST(Nvml, DoesWithoutNewerFunctions) {
  const Finding finding = look("h100x8", 450);
  EXPECT_EQ(finding.absent, "");
  ASSERT_THAT(finding.inventory.gpus, SizeIs(8));
  EXPECT_EQ(finding.inventory.gpus[7].sm, 90);
  EXPECT_EQ(finding.inventory.gpus[7].fabric, std::nullopt);
  EXPECT_EQ(linksOf(finding.inventory.gpus[7]).front(), "0000:1c:00.0 x 5 (000000)");
  EXPECT_THAT(finding.remarks,
              ElementsAre("the NVIDIA driver is too old to tell everything: it has no "
                          "nvmlDeviceGetNvLinkRemoteDeviceType, nvmlDeviceGetFieldValues, "
                          "nvmlDeviceGetGpuFabricInfoV, nvmlSystemGetConfComputeSettings"));
}

TEST(Nvml, ListsTheOthersWhenAGpuIsLost) {
  const Finding finding = look("lost-gpu");
  ASSERT_THAT(finding.inventory.gpus, SizeIs(8));
  const Gpu& lost = finding.inventory.gpus[5];
  EXPECT_EQ(lost.device, 5);
  EXPECT_EQ(lost.sm, 0);
  EXPECT_THAT(lost.links, IsEmpty());
  EXPECT_THAT(lost.deadLinks, IsEmpty());
  EXPECT_THAT(lost.peers, IsEmpty());
  EXPECT_EQ(linksOf(finding.inventory.gpus[6]), kFourSwitches);
  EXPECT_EQ(finding.inventory.gpus[6].peers.size(), 6U);
  ASSERT_THAT(finding.inventory.driver.lost, SizeIs(1));
  EXPECT_EQ(finding.inventory.driver.lost[0].number, 5);
  EXPECT_EQ(finding.inventory.driver.lost[0].id, parseBusId("0000:a8:00.0"));
  EXPECT_THAT(finding.inventory.driver.lost[0].reason, HasSubstr("the GPU is lost"));
  EXPECT_THAT(finding.remarks,
              ElementsAre("GPU 5 (00000000:A8:00.0): the GPU is lost (it fell off the bus; reset "
                          "it, or the machine): PCIe link, name, compute capability, UUID, "
                          "NVLinks, fabric state not known",
                          HasSubstr("some GPUs: the GPU is lost")));
}

TEST(Nvml, LeavesOutAGpuWithoutABusId) {
  const Finding finding = look("gone-gpu");
  ASSERT_THAT(finding.inventory.gpus, SizeIs(7));
  EXPECT_EQ(finding.inventory.gpus[2].device, 3);
  EXPECT_EQ(finding.inventory.gpus[0].peers[2].gpu, 3) << "a row, not NVML's number";
  ASSERT_THAT(finding.inventory.driver.lost, SizeIs(1));
  EXPECT_EQ(finding.inventory.driver.lost[0].number, 2);
  EXPECT_FALSE(finding.inventory.driver.lost[0].id);
  EXPECT_THAT(finding.remarks, ElementsAre(HasSubstr("GPU 2 is left out: the GPU is lost")));
}

TEST(Nvml, SaysThatThereIsNoGpu) {
  const Finding finding = look("no-gpus");
  EXPECT_EQ(finding.absent, "");
  EXPECT_EQ(finding.inventory.driver.version, "570.86.15");
  EXPECT_THAT(finding.inventory.gpus, IsEmpty());
  EXPECT_THAT(finding.remarks, ElementsAre("the NVIDIA driver is there, and shows no GPU"));
}

TEST(Nvml, SurvivesADriverThatTalksNonsense) {
  const Finding finding = look("garbage");
  ASSERT_THAT(finding.inventory.gpus, SizeIs(1));
  const Gpu& gpu = finding.inventory.gpus[0];
  const PciDevice& device = finding.inventory.pci[0];
  EXPECT_EQ(device.name, std::string(nvml::kNameBytes, '?'));
  EXPECT_EQ(gpu.uuid, std::string(nvml::kUuidBytes, 'u'));
  EXPECT_EQ(device.vendor, std::nullopt);
  EXPECT_EQ(device.link, PcieLink{});
  EXPECT_EQ(gpu.sm, 0);
  EXPECT_THAT(gpu.links, IsEmpty());
  EXPECT_EQ(gpu.fabric, std::nullopt);
  EXPECT_THAT(gpu.chipToChip, IsEmpty()) << "of its capability nobody knows";
  EXPECT_EQ(finding.inventory.driver.version, "?[2J" + std::string(76, '5'));
  EXPECT_FALSE(finding.inventory.driver.confidential->multiGpuKnown);
  EXPECT_THAT(finding.remarks, Contains(HasSubstr("multi-GPU mode 77")));
  EXPECT_THAT(finding.remarks, Contains(HasSubstr("claims 4000000000 GPUs; 256 were looked at")));
  EXPECT_THAT(finding.remarks,
              Contains(HasSubstr("GPU 1 (00000000:01:00.0) is left out: another")));
  EXPECT_THAT(finding.remarks, Contains(HasSubstr("GPU 2 (zzz")));
  for (const std::string& remark : finding.remarks)
    EXPECT_EQ(remark.find('\x1b'), std::string::npos) << remark;
}

TEST(Nvml, SaysWhyThereIsNothing) {
  EXPECT_EQ(absentWith("libno-such-nvml.so.1"),
            "no NVIDIA driver: libno-such-nvml.so.1 is not there");
  EXPECT_EQ(absentWith("/nowhere/libnvidia-ml.so.1"),
            "no NVIDIA driver: /nowhere/libnvidia-ml.so.1 is not there");
  EXPECT_THAT(absentWith(LOCKSTEP_SOURCE_DIR "/README.md"), HasSubstr("cannot be loaded: "));
  EXPECT_EQ(look("h100x8", 384).absent,
            "the driver is too old: " + libraryOf(384) + " has no nvmlDeviceGetPciInfo_v3");
  EXPECT_EQ(look("version-mismatch").absent,
            "nvmlInit failed: Driver/library version mismatch: the driver was replaced while it "
            "ran; load its kernel modules anew, or reboot");
  EXPECT_THAT(look("driver-not-loaded").absent, HasSubstr("nvmlInit failed: Driver Not Loaded: "));
}

TEST(Nvml, LeavesNothingOpen) {
  const std::string library = libraryOf(570);
  const auto loaded = [&](int flags) {
    return std::unique_ptr<void, int (*)(void*)>(dlopen(library.c_str(), RTLD_NOW | flags),
                                                 dlclose);
  };
  {
    const auto handle = loaded(0);
    const auto sessions = reinterpret_cast<int (*)()>(dlsym(handle.get(), "fakeNvmlSessions"));
    look("h100x8");
    EXPECT_EQ(sessions(), 0);
    look("version-mismatch");
    EXPECT_EQ(sessions(), 0);
  }
  EXPECT_EQ(loaded(RTLD_NOLOAD), nullptr);
}

TEST(Nvml, IsOneOfTheProbes) {
  setenv("LOCKSTEP_FAKE_NVML", "h100x8", 1);
  Surroundings surroundings;
  surroundings.sys = surroundings.proc = "/nowhere";
  surroundings.nvml = libraryOf(570);
  const Discovery discovery = discover(surroundings);
  EXPECT_THAT(discovery.reports, Contains(AllOf(testing::Field(&ProbeReport::name, "nvml"),
                                                testing::Field(&ProbeReport::absent, ""))));
  EXPECT_EQ(discovery.inventory.gpus.size(), 8U);
}

// From records, what no fake need be built for.

nvml::LinkRecord link(nvml::Enabled state, const char* remote, nvml::RemoteType type) {
  constexpr auto ok = nvml::Return::success;
  return {{ok, 1}, {ok, state}, {ok, remote}, {ok, type}};
}

TEST(NvmlLinks, CountsOnlyWhatIsActiveAndForPeers) {
  std::vector<nvml::LinkRecord> links(4, link(1, "0000:1b:00.0", nvml::RemoteType::nvSwitch));
  links[1].p2p.value = 0;
  links[2].state.value = 0;
  links[3].state = {nvml::Return::notSupported, 0};
  Gpu gpu;
  std::vector<int> nowhere;
  nvml::classifyLinks(links, {}, gpu, nowhere);
  EXPECT_THAT(linksOf(gpu), ElementsAre("0000:1b:00.0 x 1 (068000)"));
  EXPECT_THAT(gpu.deadLinks, ElementsAre(2));
  EXPECT_THAT(nowhere, IsEmpty());
}

TEST(NvmlLinks, KnowsTheirEnds) {
  using nvml::RemoteType;
  const std::vector<nvml::LinkRecord> links{
      link(1, "0004:04:00.0", RemoteType::ibmNpu),
      link(1, "0000:00:00.0", RemoteType::nvSwitch),  // no address: hidden
      link(1, "0000:05:00.0", RemoteType::unknown),   // of a GPU that is there
      link(1, "0000:06:00.0", RemoteType::unknown),
      link(1, "??", RemoteType::gpu),
  };
  Gpu gpu;
  std::vector<int> nowhere;
  nvml::classifyLinks(links, {{0, 5, 0, 0}}, gpu, nowhere);
  EXPECT_THAT(linksOf(gpu), ElementsAre("0004:04:00.0 x 1 (068001)", "fffffff:ff:ff.0 x 1 (068000)",
                                        "0000:05:00.0 x 1 (030200)", "0000:06:00.0 x 1 (000000)"));
  EXPECT_THAT(nowhere, ElementsAre(4));
}

TEST(NvmlLinks, AllDeadIsWorthARemark) {
  nvml::MachineRecord machine;
  machine.count = {nvml::Return::success, 1};
  nvml::GpuRecord gpu;
  gpu.pci = {nvml::Return::success, {"00000000:01:00.0", 0, 0}};
  gpu.links.resize(12, link(0, "", nvml::RemoteType::unknown));
  machine.gpus = {gpu};
  const Finding finding = nvml::classify(machine);
  EXPECT_EQ(finding.inventory.gpus[0].deadLinks.size(), 12U);
  EXPECT_THAT(finding.remarks, ElementsAre(HasSubstr("none of them active")));
}

TEST(NvmlRecords, AnyAnswersGiveSoundRows) {
  std::mt19937 random(20261121);
  for (int trial = 0; trial < 3000; ++trial) {
    std::string bytes(random() % 1500, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    fuzz::nvmlAnswers(bytes);
  }
}

}  // namespace
}  // namespace lockstep::topology
