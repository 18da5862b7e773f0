// Rules about what drivers tell (confidential computing, the fabric, multicast, peers), each with
// its exact words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/healthy_machines.hpp"
#include "topology/rules_said.hpp"

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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

TEST(Confidential, ProtectedPcieIsWholeThoughTheEnvironmentReadsUnavailable) {
  Inventory machine = confidential(false, MultiGpu::protectedPcie);
  machine.driver.confidential->production = false;
  EXPECT_THAT(said(machine), IsEmpty());
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

TEST(PeerAccess, OnlyNotesWhatAModelDoesNotSupport) {
  Inventory machine = healthy::eightHopper();
  denyAllPeers(machine, "GPU not supported");
  EXPECT_THAT(allSaid(machine),
              ElementsAre("note peer-access: GPU0..GPU7 may not access each other's memory, says "
                          "the driver: GPU not supported"));
  machine.gpus[0].peers[0] = {1, true, ""};
  machine.gpus[1].peers[0] = {0, true, ""};
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning peer-access")));
}

//  NUMA 0: GPU0, GPU1      NUMA 1: GPU2, GPU3
TEST(PeerAccess, OnlyNotesPairsAcrossSocketsThatAreAllDenied) {
  Inventory machine = healthy::pcieOnly();
  const auto tell = [&](int a, int b, bool allowed, const char* reason) {
    machine.gpus[static_cast<std::size_t>(a)].peers.push_back({b, allowed, reason});
  };
  tell(0, 1, true, "");
  tell(2, 3, true, "");
  for (const int a : {0, 1})
    for (const int b : {2, 3}) tell(a, b, false, "topology not supported");
  EXPECT_THAT(said(machine), IsEmpty());
  EXPECT_THAT(allSaid(machine),
              ElementsAre(HasSubstr("note multicast"),
                          "note peer-access: GPU0-GPU2, GPU0-GPU3, GPU1-GPU2, GPU1-GPU3 may not "
                          "access each other's memory, says the driver: topology not supported"));
  machine.gpus[3].peers.push_back({1, true, ""});  // one of them may
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning peer-access: GPU0-GPU2")));
  machine.gpus[3].peers.pop_back();
  for (PeerAccess& peer : machine.gpus[2].peers)  // on one socket, where GPU0 and GPU1 may
    peer = {peer.gpu, false, "topology not supported"};
  EXPECT_THAT(said(machine), ElementsAre(HasSubstr("warning peer-access: GPU2-GPU3 may")));
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
