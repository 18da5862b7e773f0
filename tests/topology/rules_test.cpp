// Each rule on a machine in which one thing is broken, with the exact words; and silence where
// nothing is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/healthy_machines.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> said(const Inventory& inventory, Severity from = Severity::warning) {
  std::vector<std::string> lines;
  for (const Problem& problem : diagnose(Graph(inventory))) {
    EXPECT_FALSE(problem.subject.empty() || problem.what.empty() || problem.advice.empty());
    if (problem.severity >= from)
      lines.push_back(fmt::format("{} {}: {} {}", name(problem.severity), problem.rule,
                                  problem.subject, problem.what));
  }
  return lines;
}

std::vector<std::string> allSaid(const Inventory& inventory) {
  return said(inventory, Severity::note);
}

PciDevice& pciOf(Inventory& machine, std::size_t gpu) {
  return machine.pci[static_cast<std::size_t>(machine.gpus[gpu].pci)];
}

PciDevice& pciOfNic(Inventory& machine, std::size_t nic) {
  return machine.pci[static_cast<std::size_t>(machine.nics[nic].pci)];
}

void cutLinks(Inventory& machine, std::size_t a, std::size_t b, int left) {
  const auto cut = [&](std::size_t from, std::size_t to) {
    for (GpuLinks& links : machine.gpus[from].links)
      if (links.target == pciOf(machine, to).id) links.count = left;
  };
  cut(a, b);
  cut(b, a);
}

// Machines in which nothing is wrong.

TEST(Rules, AreSilentOnAHealthyNodeWithNvSwitches) {
  EXPECT_THAT(allSaid(healthy::eightHopper()), IsEmpty());
}

TEST(Rules, OnlyNoteThatACubeMeshHasNoMulticast) {
  EXPECT_THAT(allSaid(healthy::cubeMesh()),
              ElementsAre("note multicast: GPU0..GPU7 will have no NVLink multicast: it needs "
                          "sm_90, and these are sm_70"));
}

TEST(Rules, OnlyNoteThatCardsOnPcieHaveNoMulticast) {
  EXPECT_THAT(allSaid(healthy::pcieOnly()),
              ElementsAre("note multicast: GPU0..GPU3 will have no NVLink multicast: it needs "
                          "sm_90, and these are sm_89"));
}

TEST(Rules, AreSilentWithoutAnything) {
  EXPECT_THAT(allSaid(Inventory{}), IsEmpty());
}

TEST(Rules, AreNamedAsUsersWriteThem) {
  std::vector<std::string_view> names;
  for (const Rule* rule : allRules()) {
    EXPECT_FALSE(rule->what.empty()) << rule->name;
    names.push_back(rule->name);
  }
  EXPECT_THAT(names, ElementsAre("confidential", "fabric", "gpu-hidden", "hint-without-links",
                                 "multicast", "nic-down", "nic-far", "nvlink-asymmetric",
                                 "nvlink-missing", "nvlink-switch-uneven", "nvlink-unusable",
                                 "pcie-downtrained", "peer-access", "unplaced"));
}

TEST(Rules, PutErrorsFirst) {
  Inventory machine = healthy::eightHopper();
  machine.driver.confidential->multiGpu = ConfidentialComputing::MultiGpu::protectedPcie;
  machine.driver.confidential->production = true;
  machine.nics[0].up = false;
  machine.gpus[3].links[1].count = 4;
  std::vector<std::string_view> severities;
  for (const Problem& problem : diagnose(Graph(machine)))
    severities.push_back(name(problem.severity));
  EXPECT_THAT(severities, ElementsAre("error", "warning", "note", "note"));
}

// NVLinks.

TEST(NvlinkMissing, NamesTheSwitchThatALinkIsMissingTo) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[3].links[1].count = 4;
  machine.gpus[3].deadLinks = {7};
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU3 has 17 NVLinks, where 7 peers have 18: 4 of "
                          "5 to NVSwitch1 (0000:1b:00.0); link 7 is down"));
}

TEST(NvlinkMissing, NamesEverySwitchThatLinksAreMissingTo) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[0].links.erase(machine.gpus[0].links.begin());
  machine.gpus[0].links[0].count = 3;
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU0 has 12 NVLinks, where 7 peers have 18: none "
                          "of 4 to NVSwitch0 (0000:1a:00.0), 3 of 5 to NVSwitch1 (0000:1b:00.0)"));
}

TEST(NvlinkMissing, SeesAGpuWithoutAny) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[5].links.clear();
  EXPECT_THAT(said(machine), ElementsAre("error nvlink-missing: GPU5 has no NVLinks, where 7 peers "
                                         "have 18"));
}

TEST(NvlinkMissing, NamesDeadLinksOfAGpuWithoutPeers) {
  Inventory machine = healthy::eightHopper();
  machine.gpus.resize(1);
  machine.gpus[0].peers.clear();
  machine.gpus[0].links[0].count = 2;
  machine.gpus[0].links[3].count = 2;
  machine.gpus[0].deadLinks = {0, 1, 16, 17};
  const std::vector<std::string> lines = said(machine);
  EXPECT_THAT(lines, ::testing::Contains("error nvlink-missing: GPU0 has 14 NVLinks up; links 0, "
                                         "1, 16, 17 are down"));
}

TEST(NvlinkMissing, TakesDegradedBandwidthForTheSameFault) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[3].links[1].count = 4;
  machine.gpus[3].fabric->health = 0x1a9;
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU3 has 17 NVLinks, where 7 peers have 18: 4 of "
                          "5 to NVSwitch1 (0000:1b:00.0)"));
}

TEST(NvlinkMissing, SeesOneLinkOfACubeMeshAsOneProblem) {
  Inventory machine = healthy::cubeMesh();
  cutLinks(machine, 0, 3, 1);
  machine.gpus[0].deadLinks = machine.gpus[3].deadLinks = {2};
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU0, GPU3 have 5 NVLinks, where 6 peers have 6; "
                          "it is likely between the two that one is gone (1 is there now); link 2 "
                          "is down"));
}

TEST(NvlinkMissing, SeesABridgeOfACubeMeshThatIsGone) {
  Inventory machine = healthy::cubeMesh();
  cutLinks(machine, 4, 7, 0);
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU4, GPU7 have 4 NVLinks, where 6 peers have 6; "
                          "it is likely between the two that some are gone (none is there now)"));
}

TEST(NvlinkMissing, SeesLinksOfAllGpusDownBesideNvSwitches) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus) gpu.links.clear();
  EXPECT_THAT(said(machine), ElementsAre("error nvlink-missing: GPU0..GPU7 have no NVLink up, "
                                         "though the machine has 4 NVSwitches"));
}

TEST(NvlinkMissing, IsSilentOnCardsWithoutBridges) {
  Inventory machine = healthy::pcieOnly();
  for (Gpu& gpu : machine.gpus) gpu.deadLinks = {0, 1, 2, 3};
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(NvlinkMissing, DoubtsLinksThatAreDownOnAllBridgedCards) {
  Inventory machine = healthy::pcieOnly();
  for (std::size_t i = 0; i < 4; ++i) {
    machine.gpus[i].deadLinks = {8, 9};
    GpuLinks links;
    links.target = pciOf(machine, i ^ 1U).id;
    links.count = 8;
    links.targetClass = pci_class::k3d;
    machine.gpus[i].links = {links};
  }
  EXPECT_THAT(said(machine), ElementsAre("warning nvlink-missing: GPU0..GPU3 have 8 NVLinks up; "
                                         "links 8, 9 are down"));
}

TEST(NvlinkMissing, ComparesOnlyGpusOfOneModel) {
  Inventory machine = healthy::eightHopper();
  pciOf(machine, 7).device = 0x2331;
  machine.gpus[7].links.clear();
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(NvlinkAsymmetric, BlamesTheEndThatTellsOfFewer) {
  Inventory machine = healthy::cubeMesh();
  for (GpuLinks& links : machine.gpus[3].links)
    if (links.target == pciOf(machine, 0).id) links.count = 1;
  machine.gpus[3].deadLinks = {4};
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-asymmetric: GPU3 says it has 1 NVLink to GPU0, which says "
                          "2; its link 4 is down"));
}

TEST(NvlinkAsymmetric, IsOneProblemForAGpuThatTellsOfNone) {
  Inventory machine = healthy::cubeMesh();
  machine.gpus[7].links.clear();
  EXPECT_THAT(
      said(machine),
      ElementsAre("error nvlink-asymmetric: GPU7 says it has no NVLinks to GPU3, which says "
                  "1; no NVLinks to GPU4, which says 2; no NVLinks to GPU5, which says 1; "
                  "no NVLinks to GPU6, which says 2"));
}

TEST(NvlinkSwitchUneven, BlamesASwitchThatNoGpuReaches) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus) {
    gpu.links.erase(gpu.links.begin() + 3);
    gpu.deadLinks = {10, 11, 12, 13};
    gpu.fabric->health = 0x1a9;
  }
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-switch-uneven: NVSwitch3 (0000:1d:00.0) is reached by no "
                          "NVLinks from each of GPU0..GPU7, where its siblings are by 4 at least"));
}

TEST(NvlinkSwitchUneven, BlamesASwitchThatMostGpusLostALinkTo) {
  Inventory machine = healthy::eightHopper();
  for (std::size_t gpu = 0; gpu < 5; ++gpu) machine.gpus[gpu].links[0].count = 3;
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-switch-uneven: NVSwitch0 (0000:1a:00.0) is reached by 3 "
                          "NVLinks from each of GPU0..GPU4, where its siblings are by 4 at least"));
}

TEST(NvlinkSwitchUneven, LeavesOneGpusOwnFaultToIt) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus) gpu.links[0].count = 3;
  machine.gpus[6].links[2].count = 2;
  EXPECT_THAT(said(machine),
              ElementsAre("error nvlink-missing: GPU6 has 14 NVLinks, where 7 peers have 18: 2 of "
                          "5 to NVSwitch2 (0000:1c:00.0)",
                          "error nvlink-switch-uneven: NVSwitch0 (0000:1a:00.0) is reached by 3 "
                          "NVLinks from each of GPU0..GPU7, where its siblings are by 4 at least"));
}

TEST(NvlinkUnusable, SaysWhereLinksLeadBack) {
  Inventory machine = healthy::cubeMesh();
  for (std::size_t i = 0; i < 8; ++i) {
    machine.gpus[i].links.resize(1);
    machine.gpus[i].links[0].target = pciOf(machine, i).id;
    machine.gpus[i].links[0].count = 6;
  }
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning nvlink-unusable: GPU0..GPU7 have 6 NVLinks each that lead back "
                  "to the GPU itself: a virtual machine hides the peers; left out of all paths"));
}

TEST(NvlinkUnusable, SaysWhereLinksLeadNowhere) {
  Inventory machine = healthy::cubeMesh();
  machine.gpus[2].links[0].target.domain = 0xabcd;
  EXPECT_THAT(
      said(machine),
      ElementsAre(
          "warning nvlink-unusable: GPU2 has 1 NVLink to where no GPU is: left out of all paths"));
}

TEST(NvlinkUnusable, IsSilentWhereOnlyPciSaysThatTheyLeadToASwitch) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus)
    for (GpuLinks& links : gpu.links) links.targetClass = 0;
  EXPECT_THAT(allSaid(machine), IsEmpty());
}

// PCIe.

TEST(PcieDowntrained, WarnsOfSlowGpusAndSaysTheyMayBeIdle) {
  Inventory machine = healthy::eightHopper();
  pciOf(machine, 2).link = healthy::pcie(8, 16);
  pciOf(machine, 5).link = healthy::pcie(8, 16);
  EXPECT_THAT(said(machine),
              ElementsAre("warning pcie-downtrained: GPU2, GPU5 run at 8.0 GT/s x16, could 32.0 "
                          "GT/s x16 (Gen3 instead of Gen5): a quarter of the bandwidth"));
  EXPECT_THAT(diagnose(Graph(machine)).front().advice, HasSubstr("idle GPUs slow their link down"));
}

TEST(PcieDowntrained, TakesLostLanesForAnError) {
  Inventory machine = healthy::eightHopper();
  pciOf(machine, 2).link = healthy::pcie(32, 8);
  pciOfNic(machine, 1).link = healthy::pcie(16, 4);
  EXPECT_THAT(said(machine),
              ElementsAre("error pcie-downtrained: GPU2 runs at 32.0 GT/s x8, could 32.0 GT/s x16 "
                          "(8 lanes instead of 16): half of the bandwidth",
                          "error pcie-downtrained: mlx5_1 runs at 16.0 GT/s x4, could 32.0 GT/s "
                          "x16 (Gen4 instead of Gen5, 4 lanes instead of 16): an eighth of the "
                          "bandwidth"));
}

TEST(PcieDowntrained, OnlyNotesANicThatHasEnough) {
  Inventory machine = healthy::eightHopper();
  machine.nics[1].speed = Bandwidth::megabitsPerSecond(100000);
  pciOfNic(machine, 1).link = healthy::pcie(16, 8);
  EXPECT_THAT(allSaid(machine),
              ElementsAre("note pcie-downtrained: mlx5_1 runs at 16.0 GT/s x8, could 32.0 GT/s x16 "
                          "(Gen4 instead of Gen5, 8 lanes instead of 16): a quarter of the "
                          "bandwidth; enough for 100 Gb/s"));
  machine.nics[1].speed = {};
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning pcie-downtrained: mlx5_1 runs at")));
}

TEST(PcieDowntrained, CountsBothPortsOfACard) {
  Inventory machine = healthy::eightHopper();
  machine.nics[1].speed = machine.nics[0].speed * 0.25;
  Nic second = machine.nics[1];
  second.port = 2;
  second.name = "mlx5_8";
  machine.nics.push_back(second);
  pciOfNic(machine, 1).link = healthy::pcie(16, 8);
  EXPECT_THAT(
      said(machine),
      ElementsAre("error pcie-downtrained: mlx5_1, mlx5_8 run at 16.0 GT/s x8, could 32.0 "
                  "GT/s x16 (Gen4 instead of Gen5, 8 lanes instead of 16): a quarter of the "
                  "bandwidth"));
}

TEST(PcieDowntrained, ComparesWithOthersOfTheModel) {
  Inventory machine = healthy::eightHopper();
  for (PciDevice& device : machine.pci) device.capable = {};
  pciOf(machine, 6).link = healthy::pcie(16, 8);
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning pcie-downtrained: GPU6 runs at 16.0 GT/s x8, where 7 of the model "
                  "run at 32.0 GT/s x16 (Gen4 instead of Gen5, 8 lanes instead of 16): a "
                  "quarter of the bandwidth"));
}

TEST(PcieDowntrained, OnlyNotesWhatAllSwitchesOfAModelShow) {
  Inventory machine = healthy::eightHopper();
  for (PciDevice& device : machine.pci)
    if (device.classCode == pci_class::kBridge) device.link = healthy::pcie(5, 16);
  const std::vector<Problem> problems = diagnose(Graph(machine));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].severity, Severity::note);
  EXPECT_EQ(problems[0].what,
            "run at 5.0 GT/s x16, could 32.0 GT/s x16 (Gen2 instead of Gen5): an eighth of the "
            "bandwidth");
  machine.pci[4].link = machine.pci[4].capable;
  EXPECT_THAT(said(machine),
              ElementsAre(HasSubstr("warning pcie-downtrained: PCIe switch 0000:48")));
}

TEST(PcieDowntrained, SaysNothingOfWhatIsNotKnown) {
  Inventory machine = healthy::eightHopper();
  for (PciDevice& device : machine.pci) device.link = {};
  EXPECT_THAT(said(machine), IsEmpty());
}

// Places.

TEST(NicFar, WarnsOfACpuWithoutNics) {
  Inventory machine = healthy::eightHopper();
  for (std::size_t i = 4; i < 8; ++i) {
    pciOfNic(machine, i).parent = kNone;
    pciOfNic(machine, i).cpu = machine.nics[i].cpu = 0;
  }
  EXPECT_THAT(said(machine),
              ElementsAre("warning nic-far: GPU4..GPU7 are on NUMA 1, where no NIC is: the nearest "
                          "are mlx5_0..mlx5_7 on NUMA 0, across the link between CPUs"));
}

TEST(NicFar, WarnsOfACpuWithFewerNicsThanThereAreForItsGpus) {
  Inventory machine = healthy::eightHopper();
  pciOfNic(machine, 7).parent = kNone;
  pciOfNic(machine, 7).cpu = machine.nics[7].cpu = 0;
  EXPECT_THAT(said(machine),
              ElementsAre("warning nic-far: GPU4..GPU7 share 3 NICs on NUMA 1, while the machine "
                          "has 8 for its 8 GPUs: some must cross the link between CPUs"));
}

TEST(NicFar, OnlyNotesOneNicForTwoCpus) {
  Inventory machine = healthy::pcieOnly();
  machine.nics.resize(1);
  machine.pci.pop_back();
  EXPECT_THAT(said(machine), IsEmpty());
  EXPECT_THAT(allSaid(machine),
              ::testing::Contains("note nic-far: GPU2, GPU3 are on NUMA 1, where no NIC is: the "
                                  "nearest is mlx5_0 on NUMA 0, across the link between CPUs"));
}

TEST(NicFar, DoesNotCountWhatManagesTheMachine) {
  Inventory machine = healthy::eightHopper();
  for (std::size_t i = 4; i < 8; ++i) machine.nics[i].speed = Bandwidth::megabitsPerSecond(10000);
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("nic-far: GPU4..GPU7 are on NUMA 1")));
}

TEST(NicFar, TakesNumaNodesOfOnePackageForOnePlace) {
  Inventory machine = healthy::pcieOnly();
  for (Cpu& cpu : machine.cpus) cpu.package = 0;
  pciOfNic(machine, 1).cpu = machine.nics[1].cpu = 0;
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(NicDown, NamesThePortsAndTheirSiblings) {
  Inventory machine = healthy::eightHopper();
  machine.nics[6].up = false;
  EXPECT_THAT(said(machine),
              ElementsAre("warning nic-down: mlx5_6 is down, while mlx5_0..mlx5_5, mlx5_7 of the "
                          "same kind are up"));
}

TEST(NicDown, IsSilentWhereNoSecondPortIsUsed) {
  Inventory machine = healthy::eightHopper();
  for (std::size_t i = 0; i < 8; ++i) {
    Nic second = machine.nics[i];
    second.name = fmt::format("mlx5_{}", i + 8);
    second.port = 2;
    second.up = false;
    machine.nics.push_back(second);
  }
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(Unplaced, NamesDevicesOnNoNumaNode) {
  Inventory machine = healthy::pcieOnly();
  for (std::size_t i = 3; i < 6; ++i) machine.pci[i].cpu = kNone;
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning unplaced: GPU2, GPU3, mlx5_1 are on no known NUMA node, so paths "
                  "that cross CPUs are not known"));
}

// What is known of GPUs.

TEST(HintWithoutLinks, SaysWhatToMergeItWith) {
  Inventory machine = healthy::eightHopper();
  machine.gpus.clear();
  machine.source = "hint.xml";
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning hint-without-links: GPU0..GPU7 are known only as PCI devices: no "
                  "NVLinks, no compute capability, as in a provider's hint file"));
  EXPECT_EQ(diagnose(Graph(machine)).front().advice,
            "merge it with live data on that machine: ccbench topo --file FILE --live");
}

TEST(HintWithoutLinks, MissesADriverOnThisMachine) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus.clear();
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning hint-without-links: GPU0..GPU3 are known only as PCI devices: no "
                  "NVLinks, no compute capability, since no driver tells of them"));
}

TEST(GpuHidden, NamesAGpuThatTheDriverDoesNotShow) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus.pop_back();
  EXPECT_THAT(said(machine),
              ElementsAre("warning gpu-hidden: GPU 0000:49:00.0 is on PCI, but the driver does not "
                          "show it, while it shows 3 of the model"));
}

TEST(GpuHidden, IsSilentOnADisplayCardOfAnotherModel) {
  Inventory machine = healthy::pcieOnly();
  pciOf(machine, 3).device = 0x1eb8;
  machine.gpus.pop_back();
  EXPECT_THAT(said(machine), IsEmpty());
}

// Confidential computing: what NVML says, and what it means.

using MultiGpu = ConfidentialComputing::MultiGpu;

Inventory confidential(bool feature, std::optional<MultiGpu> multiGpu) {
  Inventory machine = healthy::eightHopper();
  machine.driver.confidential = ConfidentialComputing{.feature = feature,
                                                      .multiGpu = multiGpu.value_or(MultiGpu::none),
                                                      .multiGpuKnown = multiGpu.has_value(),
                                                      .production = true};
  return machine;
}

constexpr const char* kNoMulticastUnderCc =
    "note multicast: GPU0..GPU7 will have no NVLink multicast: the driver refuses it in every mode "
    "of confidential computing";

TEST(Confidential, SingleGpuMeansNoLinksAndNoPeers) {
  Inventory machine = confidential(true, MultiGpu::none);
  for (Gpu& gpu : machine.gpus) {
    gpu.links.clear();
    gpu.fabric.reset();
    for (PeerAccess& peer : gpu.peers) peer = {peer.gpu, false, "not supported"};
  }
  EXPECT_THAT(
      allSaid(machine),
      ElementsAre("note confidential: confidential computing is on for single GPUs (SPT): host "
                  "copies go through an AES-GCM bounce buffer, NVLink is reported absent, and GPUs "
                  "have no access to each other",
                  kNoMulticastUnderCc,
                  "note peer-access: GPU0..GPU7 may not access each other's memory, says the "
                  "driver: not supported"));
}

TEST(Confidential, ProtectedPcieIsSeenThoughTheFeatureReadsDisabled) {
  EXPECT_THAT(
      allSaid(confidential(false, MultiGpu::protectedPcie)),
      ElementsAre("note confidential: confidential computing is on as protected PCIe (PPCIe), "
                  "though NVML's ccFeature may read disabled: host copies go through an AES-GCM "
                  "bounce buffer, NVLink carries plaintext",
                  kNoMulticastUnderCc));
}

TEST(Confidential, EncryptedNvlinkIsForEightGpus) {
  Inventory machine = confidential(true, MultiGpu::nvle);
  EXPECT_THAT(
      allSaid(machine),
      ElementsAre("note confidential: confidential computing is on for several GPUs (NVLE): "
                  "host copies go through an AES-GCM bounce buffer, NVLinks are encrypted, "
                  "for 8 GPUs at most",
                  kNoMulticastUnderCc));
  Gpu ninth = machine.gpus[0];
  ninth.pci = static_cast<int>(machine.pci.size());
  PciDevice device = pciOf(machine, 0);
  device.id.bus = 0x99;
  machine.pci.push_back(device);
  machine.gpus.push_back(ninth);
  EXPECT_THAT(said(machine), ElementsAre("warning confidential: confidential computing covers 8 "
                                         "GPUs at most with encrypted NVLinks, and there are 9"));
}

TEST(Confidential, EncryptedNvlinkAloneIsNot) {
  EXPECT_THAT(allSaid(confidential(false, MultiGpu::nvle)),
              ElementsAre("warning confidential: confidential computing is off, although NVLinks "
                          "are encrypted (NVLE): that alone does not make the machine "
                          "confidential"));
}

TEST(Confidential, OldDriversLeaveTheModeOpen) {
  EXPECT_THAT(said(confidential(true, std::nullopt)),
              ElementsAre("warning confidential: confidential computing is on, and the driver is "
                          "too old to say for how many GPUs: whether they reach each other, and "
                          "whether their NVLinks are encrypted, is not known"));
  EXPECT_THAT(allSaid(confidential(false, std::nullopt)),
              ElementsAre("note confidential: confidential computing reads off, but the driver is "
                          "too old to say whether protected PCIe is on, under which it reads off "
                          "too"));
}

TEST(Confidential, DeveloperToolsAndSimulationsAreNot) {
  Inventory machine = confidential(true, MultiGpu::nvle);
  machine.driver.confidential->devTools = true;
  machine.driver.confidential->production = false;
  EXPECT_THAT(said(machine),
              ElementsAre("warning confidential: confidential computing has developer tools on: "
                          "they can read what is in the GPUs, so this is not confidential",
                          "warning confidential: confidential computing is not in its production "
                          "environment but a simulation, or in none: nothing is protected"));
}

// The fabric, multicast and peers.

void denyAllPeers(Inventory& machine, const char* reason) {
  for (Gpu& gpu : machine.gpus)
    for (PeerAccess& peer : gpu.peers) peer = {peer.gpu, false, reason};
}

TEST(Fabric, NotStartedExplainsDeniedPeersAndDeadLinks) {
  Inventory machine = healthy::eightHopper();
  denyAllPeers(machine, "not supported");
  for (Gpu& gpu : machine.gpus) {
    gpu.fabric->state = FabricState::State::notStarted;
    gpu.links.clear();
    gpu.deadLinks = {0, 1, 2, 3};
  }
  EXPECT_THAT(allSaid(machine),
              ElementsAre("error fabric: GPU0..GPU7 did not begin to register with the NVLink "
                          "fabric, so there is no NVLink to others, and no multicast"));
}

TEST(Fabric, SaysWhoIsStillRegisteringOrFailed) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[0].fabric->state = FabricState::State::inProgress;
  machine.gpus[1].fabric->status = 15;
  machine.gpus[2].fabric->state = FabricState::State::notSupported;
  EXPECT_THAT(
      said(machine),
      ElementsAre("error fabric: GPU2 is part of no NVLink fabric, while 6 of the model are",
                  "error fabric: GPU0 did not finish registering with the NVLink fabric, so there "
                  "is no NVLink to others, and no multicast",
                  "error fabric: GPU1 failed to register with the NVLink fabric: NVML error 15 "
                  "(GPU is lost), so there is no NVLink to others, and no multicast"));
}

TEST(Fabric, ReadsTheHealthMask) {
  Inventory machine = healthy::eightHopper();
  machine.gpus[0].fabric->health = 0x1a9;                  // degraded bandwidth
  machine.gpus[1].fabric->health = 0x1a6;                  // route recovery
  machine.gpus[2].fabric->health = 0x19a;                  // unhealthy route
  machine.gpus[3].fabric->health = 0x16a;                  // access timeout
  machine.gpus[4].fabric->health = 0x4aa;                  // configuration 4
  machine.gpus[5].fabric->health = 0xfaa;                  // configuration 15
  machine.gpus[6].fabric->health = 0x1aa | 2U << 12;       // no partition
  machine.gpus[7].fabric->health = 0x1a9 | 2U << 14 | 16;  // several; route unhealthy reads 3
  EXPECT_THAT(
      said(machine),
      ElementsAre(
          "error fabric: GPU2 has trouble in the NVLink fabric: an unhealthy route",
          "error fabric: GPU4 has trouble in the NVLink fabric: wrong configuration (no partition)",
          "error fabric: GPU5 has trouble in the NVLink fabric: wrong configuration (code 15)",
          "warning fabric: GPU0 has trouble in the NVLink fabric: degraded bandwidth",
          "warning fabric: GPU1 has trouble in the NVLink fabric: a route is being recovered",
          "warning fabric: GPU3 has trouble in the NVLink fabric: recovery from an access timeout",
          "warning fabric: GPU6 has trouble in the NVLink fabric: no partition assigned",
          "warning fabric: GPU7 has trouble in the NVLink fabric: degraded bandwidth, no "
          "connection to the global fabric manager"));
}

TEST(Fabric, SaysWhoIsInWhichPartition) {
  Inventory machine = healthy::eightHopper();
  for (std::size_t i = 4; i < 8; ++i) machine.gpus[i].fabric->clique = 2;
  EXPECT_THAT(said(machine),
              ElementsAre("warning fabric: GPU0..GPU7 are in 2 partitions of the NVLink fabric: "
                          "GPU0..GPU3 in clique 0, GPU4..GPU7 in clique 2; there is no NVLink and "
                          "no multicast between them"));
}

TEST(Multicast, NeedsNvSwitches) {
  Inventory machine = healthy::eightHopper();
  machine.pci.erase(machine.pci.begin(), machine.pci.begin() + 4);
  for (PciDevice& device : machine.pci)
    if (device.parent != kNone) device.parent -= 4;
  for (Nic& nic : machine.nics) nic.pci -= 4;
  for (Gpu& gpu : machine.gpus) gpu.pci -= 4, gpu.links.clear(), gpu.fabric.reset();
  EXPECT_THAT(allSaid(machine), ElementsAre("note multicast: GPU0..GPU7 will have no NVLink "
                                            "multicast: no NVSwitch joins the GPUs"));
  EXPECT_THAT(diagnose(Graph(machine)).front().advice,
              HasSubstr("The driver's attribute is not trusted, the library probes by really "
                        "binding"));
}

TEST(Multicast, IsNotOfOtherMakers) {
  Inventory machine = healthy::pcieOnly();
  for (std::size_t i = 0; i < 4; ++i) pciOf(machine, i).vendor = 0x1002;
  EXPECT_THAT(allSaid(machine), IsEmpty());
}

TEST(PeerAccess, SaysItOnceForAllPairs) {
  Inventory machine = healthy::eightHopper();
  denyAllPeers(machine, "chipset not supported");
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning peer-access: GPU0..GPU7 may not access each other's memory, says "
                  "the driver: chipset not supported"));
}

TEST(PeerAccess, NamesTheOneGpuThatAllPairsShare) {
  Inventory machine = healthy::eightHopper();
  for (PeerAccess& peer : machine.gpus[3].peers) peer = {peer.gpu, false, "disabled"};
  EXPECT_THAT(said(machine),
              ElementsAre("warning peer-access: GPU3 may not access the memory of GPU0..GPU2, "
                          "GPU4..GPU7, nor they its, says the driver: disabled"));
}

TEST(PeerAccess, NamesPairsOneByOneAndThenCounts) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus[0].peers = {{2, false, "x"}, {3, false, ""}, {1, true, ""}};
  machine.gpus[2].peers = {{0, false, "x"}};
  machine.gpus[1].peers = {{3, false, "x"}};
  EXPECT_THAT(said(machine),
              ElementsAre("warning peer-access: GPU0-GPU3 may not access each other's memory, says "
                          "the driver: it gives no reason",
                          "warning peer-access: GPU0-GPU2, GPU1-GPU3 may not access each other's "
                          "memory, says the driver: x"));
}

}  // namespace
}  // namespace lockstep::topology
