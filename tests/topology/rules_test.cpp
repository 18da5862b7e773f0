// Rules about PCIe, places and what is known of GPUs, each on a machine in which one thing is
// broken, with the exact words; and all rules where nothing is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/healthy_machines.hpp"
#include "topology/rules_said.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  EXPECT_THAT(names,
              ElementsAre("confidential", "fabric", "gpu-hidden", "gpu-lost", "hint-without-links",
                          "multicast", "nic-down", "nic-far", "nic-slow", "nvlink-asymmetric",
                          "nvlink-few", "nvlink-missing", "nvlink-switch-uneven", "nvlink-unusable",
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

TEST(PcieDowntrained, OnlyNotesGpusThatAreAllIdle) {
  Inventory machine = healthy::pcieOnly();
  for (std::size_t i = 0; i < 4; ++i) pciOf(machine, i).link = healthy::pcie(2.5, 16);
  EXPECT_THAT(said(machine), IsEmpty());
  EXPECT_THAT(allSaid(machine),
              ::testing::Contains(HasSubstr("note pcie-downtrained: GPU0..GPU3 run at 2.5 GT/s")));
  for (std::size_t i = 0; i < 4; ++i) pciOf(machine, i).link = healthy::pcie(8, 16);
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning pcie-downtrained: GPU0..GPU3 run at")));
}

TEST(PcieDowntrained, OnlyNotesAnIdleGpuBesideOthersAtWork) {
  for (const double idle : {2.5, 5.0}) {
    Inventory machine = healthy::pcieOnly();
    pciOf(machine, 1).link = healthy::pcie(idle, 16);
    EXPECT_THAT(said(machine), IsEmpty());
    EXPECT_THAT(allSaid(machine),
                ::testing::Contains(HasSubstr("note pcie-downtrained: GPU1 runs at")));
    for (PciDevice& device : machine.pci) device.capable = {};
    EXPECT_THAT(said(machine), IsEmpty());
    EXPECT_THAT(allSaid(machine),
                ::testing::Contains(HasSubstr("x16, where 3 of the model run at 16.0 GT/s x16")));
    pciOf(machine, 1).link = healthy::pcie(idle, 8);
    EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning pcie-downtrained: GPU1")));
  }
}

//  A Radeon is behind two switches of its own; the outer one trains with the slot.
TEST(PcieDowntrained, OnlyNotesASwitchThatIdlesWithItsGpu) {
  Inventory machine = healthy::eightHopper();
  machine.pci[4].link = healthy::pcie(2.5, 16);
  EXPECT_THAT(said(machine), IsEmpty());
  EXPECT_THAT(allSaid(machine), ElementsAre(HasSubstr("note pcie-downtrained: PCIe switch 0000:4"
                                                      "0")));
  machine.pci[4].link = healthy::pcie(2.5, 4);
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("error pcie-downtrained: PCIe switch")));
}

TEST(PcieDowntrained, WarnsOfAWidthThatAllGpusHave) {
  Inventory machine = healthy::pcieOnly();
  for (std::size_t i = 0; i < 4; ++i) pciOf(machine, i).link = healthy::pcie(16, 8);
  EXPECT_THAT(said(machine),
              ElementsAre("warning pcie-downtrained: GPU0..GPU3 run at 16.0 GT/s x8, could 16.0 "
                          "GT/s x16 (8 lanes instead of 16): half of the bandwidth"));
  pciOf(machine, 1).link = healthy::pcie(2.5, 8);
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning"), HasSubstr("warning")));
}

TEST(PcieDowntrained, IsSilentOnGpusWithChipToChipLinks) {
  Inventory machine = healthy::pcieOnly();
  for (Gpu& gpu : machine.gpus) gpu.chipToChip.resize(1);
  for (std::size_t i = 0; i < 4; ++i) pciOf(machine, i).link = healthy::pcie(8, 1);
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(PcieDowntrained, OnlyNotesANicThatHasEnough) {
  Inventory machine = healthy::eightHopper();
  for (Nic& nic : machine.nics) nic.speed = Bandwidth::megabitsPerSecond(100000);
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
  for (Nic& nic : machine.nics) nic.speed = Bandwidth::megabitsPerSecond(100000);
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
    if (device.classCode == pci_class::kBridge) device.link = healthy::pcie(8, 16);
  const std::vector<Problem> problems = diagnose(Graph(machine));
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0].severity, Severity::note);
  EXPECT_EQ(problems[0].what,
            "run at 8.0 GT/s x16, could 32.0 GT/s x16 (Gen3 instead of Gen5): a quarter of the "
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
                          "has 8 for its 8 GPUs"));
}

TEST(NicFar, DoesNotCountNicsThatAreDown) {
  Inventory machine = healthy::eightHopper();
  pciOfNic(machine, 7).parent = kNone;
  pciOfNic(machine, 7).cpu = machine.nics[7].cpu = 0;
  machine.nics[7].up = false;  // a fifth at NUMA 0 that is not used
  for (const std::string& line : allSaid(machine))
    EXPECT_THAT(line, ::testing::Not(HasSubstr(" share ")));
}

//  NUMA 0: GPU0, GPU1, mlx5_0     NUMA 1: GPU2, GPU3, mlx5_1     NUMA 2: mlx5_2, mlx5_3
TEST(NicFar, OnlyNotesFewNicsWhereNoGpusHaveMore) {
  Inventory machine = healthy::pcieOnly();
  Cpu third = machine.cpus[1];
  third.numa = third.package = 2;
  machine.cpus.push_back(third);
  for (const std::uint8_t bus : {0x60, 0x61}) {
    PciDevice card = pciOfNic(machine, 1);
    card.id.bus = bus;
    card.cpu = 2;
    Nic nic = machine.nics[1];
    nic.name = fmt::format("mlx5_{}", machine.nics.size());
    nic.pci = static_cast<int>(machine.pci.size());
    nic.cpu = 2;
    machine.pci.push_back(card);
    machine.nics.push_back(nic);
  }
  EXPECT_THAT(said(machine), IsEmpty());
  EXPECT_THAT(allSaid(machine),
              ::testing::Contains("note nic-far: GPU0, GPU1 share 1 NIC on NUMA 0, while the "
                                  "machine has 4 for its 4 GPUs"));
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

TEST(NicFar, SeesAGpuWhoseOwnNicIsGone) {
  Inventory machine = healthy::eightHopper();
  machine.nics.pop_back();
  machine.pci.pop_back();
  EXPECT_THAT(said(machine), ElementsAre("warning nic-far: GPU7 has no NIC below the same PCIe "
                                         "switch, where 7 peers have"));
}

TEST(NicSlow, SeesAPortBelowTheOthersOfItsModel) {
  Inventory machine = healthy::eightHopper();
  machine.nics[6].speed = Bandwidth::megabitsPerSecond(200000);
  EXPECT_THAT(said(machine), ElementsAre("warning nic-slow: mlx5_6 runs at 200 Gb/s, where 7 of "
                                         "the model run at 400 Gb/s"));
  machine.nics[6].up = false;
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("nic-down")));
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

TEST(HintWithoutLinks, OnlyNotesThatNoProbeReadsAmdGpus) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus.clear();
  for (PciDevice& device : machine.pci)
    if (device.classCode == pci_class::k3d) device.vendor = 0x1002;
  EXPECT_THAT(allSaid(machine),
              ElementsAre("note hint-without-links: GPU0..GPU3 are known only as PCI devices: "
                          "links of AMD GPUs are not read from this machine"));
  EXPECT_THAT(diagnose(Graph(machine)).front().advice, HasSubstr("NCCL_TOPO_DUMP_FILE"));
}

TEST(GpuHidden, NamesAGpuThatTheDriverDoesNotShow) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus.pop_back();
  EXPECT_THAT(said(machine),
              ElementsAre("warning gpu-hidden: GPU 0000:49:00.0 is on PCI, but the driver does not "
                          "show it, while it shows 3 of the model"));
}

TEST(GpuLost, IsAnErrorOfItsOwn) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus[1].sm = 0;  // the driver still tells where it was, and nothing else
  machine.driver.lost = {{.number = 1, .id = pciOf(machine, 1).id, .reason = "the GPU is lost"}};
  EXPECT_THAT(said(machine),
              ElementsAre("error gpu-lost: GPU1 (0000:41:00.0) does not work: the GPU is lost"));
}

TEST(GpuLost, ExplainsAGpuThatTheDriverDoesNotShow) {
  Inventory machine = healthy::pcieOnly();
  machine.gpus.pop_back();
  machine.driver.lost = {{.number = 3, .id = {}, .reason = "the GPU is lost"}};
  EXPECT_THAT(said(machine),
              ElementsAre("error gpu-lost: the driver's GPU 3 does not work: the GPU is lost"));
}

TEST(GpuHidden, IsSilentOnADisplayCardOfAnotherModel) {
  Inventory machine = healthy::pcieOnly();
  pciOf(machine, 3).device = 0x1eb8;
  machine.gpus.pop_back();
  EXPECT_THAT(said(machine), IsEmpty());
}

}  // namespace
}  // namespace lockstep::topology
