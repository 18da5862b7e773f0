// Rules about NVLinks, each on a machine in which one thing is broken, with the exact words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/healthy_machines.hpp"
#include "topology/rules_said.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

void cutLinks(Inventory& machine, std::size_t a, std::size_t b, int left) {
  const auto cut = [&](std::size_t from, std::size_t to) {
    for (GpuLinks& links : machine.gpus[from].links)
      if (links.target == pciOf(machine, to).id) links.count = left;
  };
  cut(a, b);
  cut(b, a);
}

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

TEST(NvlinkMissing, MissesNoneWhereTheSourceDoesNotKnowLinks) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus) {  // as hwloc tells
    gpu.sm = 0;
    gpu.links.clear();
    gpu.fabric.reset();
    gpu.peers.clear();
  }
  EXPECT_THAT(allSaid(machine), IsEmpty());
}

TEST(NvlinkMissing, IsSilentOnCardsWithoutBridges) {
  Inventory machine = healthy::pcieOnly();
  for (Gpu& gpu : machine.gpus) gpu.deadLinks = {0, 1, 2, 3};
  EXPECT_THAT(said(machine), IsEmpty());
}

//  GPU0 ==8== GPU1   GPU2 ==8== GPU3      (or only the first pairs of them)
Inventory bridged(std::size_t pairs) {
  Inventory machine = healthy::pcieOnly();
  for (Gpu& gpu : machine.gpus) gpu.deadLinks = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (std::size_t i = 0; i < 2 * pairs; ++i) {
    machine.gpus[i].deadLinks = {8, 9};
    GpuLinks links;
    links.target = pciOf(machine, i ^ 1U).id;
    links.count = 8;
    links.targetClass = pci_class::k3d;
    machine.gpus[i].links = {links};
  }
  return machine;
}

std::vector<std::string> saidOfMissing(const Inventory& machine) {
  std::vector<std::string> lines = allSaid(machine);
  std::erase_if(lines, [](const std::string& line) { return line.find(" multicast:") < 9; });
  return lines;
}

TEST(NvlinkMissing, OnlyNotesAsManyLinksDownOnAllBridgedCards) {
  Inventory machine = bridged(2);
  EXPECT_THAT(saidOfMissing(machine),
              ElementsAre("note nvlink-missing: GPU0..GPU3 have 8 NVLinks up; links 8, 9 are "
                          "down"));
  for (const std::size_t gpu : {2U, 3U}) machine.gpus[gpu].deadLinks = {0, 1};
  EXPECT_THAT(said(machine), IsEmpty());
  for (const std::size_t gpu : {2U, 3U}) machine.gpus[gpu].deadLinks = {8};
  EXPECT_THAT(
      said(machine),
      ElementsAre("warning nvlink-missing: GPU0, GPU1 have 8 NVLinks up; links 8, 9 are down",
                  "warning nvlink-missing: GPU2, GPU3 have 8 NVLinks up; link 8 is down"));
}

TEST(NvlinkMissing, OnlyNotesCardsWithoutABridgeBesideBridgedOnes) {
  Inventory machine = bridged(1);
  EXPECT_THAT(saidOfMissing(machine),
              ElementsAre("note nvlink-missing: GPU0, GPU1 have 8 NVLinks up; links 8, 9 are down",
                          "note nvlink-missing: GPU2, GPU3 have no NVLink up, where 2 peers are "
                          "joined in pairs: no bridge fitted"));
  machine.gpus.pop_back();
  EXPECT_THAT(saidOfMissing(machine),
              ::testing::Contains("note nvlink-missing: GPU2 has no NVLink up, where 2 peers are "
                                  "joined in pairs: no bridge fitted"));
}

TEST(NvlinkMissing, SeesADeadGpuOfACubeMesh) {
  Inventory machine = healthy::cubeMesh();
  for (std::size_t peer = 0; peer < 7; ++peer)
    std::erase_if(machine.gpus[peer].links,
                  [&](const GpuLinks& links) { return links.target == pciOf(machine, 7).id; });
  machine.gpus[7].links.clear();
  EXPECT_THAT(said(machine), ::testing::Contains(::testing::StartsWith(
                                 "error nvlink-missing: GPU7 has no NVLinks, where 3 peers")));
}

TEST(NvlinkMissing, ComparesOnlyGpusOfOneModel) {
  Inventory machine = healthy::eightHopper();
  pciOf(machine, 7).device = 0x2331;
  machine.gpus[7].links.clear();
  EXPECT_THAT(said(machine), IsEmpty());
}

TEST(NvlinkFew, SeesAnNvSwitchThatIsLostToAll) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus)
    std::erase_if(gpu.links, [](const GpuLinks& links) { return links.target.bus == 0x1b; });
  machine.pci[1].classCode = 0xff0000;  // NVSwitch1 is not on PCI either
  EXPECT_THAT(said(machine),
              ElementsAre("warning nvlink-few: GPU0..GPU7 have 13 NVLinks, where GPUs of sm_90 "
                          "beside NVSwitches have 18: an NVSwitch that none of them reaches looks "
                          "like that"));
}

TEST(NvlinkFew, IsSilentOnModelsWithFewer) {
  Inventory machine = healthy::eightHopper();
  for (Gpu& gpu : machine.gpus)
    for (GpuLinks& links : gpu.links) links.count = 2;  // an H800
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

}  // namespace
}  // namespace lockstep::topology
