// Single paths: steps, bandwidths and links, and what a routing allows.
#include "topology/graph/path.hpp"

#include <gtest/gtest.h>

#include "topology/machine_files.hpp"
#include "topology/matrix_text.hpp"
#include "topology/presets/parts/builder.hpp"
#include "topology/presets/preset.hpp"

namespace lockstep::topology {
namespace {

using models::kConnectX7;
using models::kGen5;
using models::kH100;

constexpr Routing kWithPxn{.pxn = true};

Path between(const Graph& graph, const std::string& from, const std::string& to,
             Routing routing = {}) {
  return findPath(graph, nodeNamed(graph, from), nodeNamed(graph, to), routing);
}

/// "GPU0 > NVSwitch0+NVSwitch1 > GPU1"
std::string wayText(const Graph& graph, const Path& path) {
  std::string text;
  for (const std::vector<NodeId>& step : path.steps) {
    if (!text.empty()) text += " > ";
    for (const NodeId id : step) text += (id == step.front() ? "" : "+") + graph.node(id).name;
  }
  return text;
}

/// "NVL 18 links, 370.8 GB/s: GPU0 > ..."
std::string pathText(const Graph& graph, const Path& path) {
  return fmt::format("{} {} links, {:.1f} GB/s: {}", name(path.type), path.links,
                     path.bottleneck.gigabytesPerSecond(), wayText(graph, path));
}

std::string pathText(const Graph& graph, const std::string& from, const std::string& to,
                     Routing routing = {}) {
  return pathText(graph, between(graph, from, to, routing));
}

Graph preset(std::string_view name) {
  return Graph(findPreset(name).make());
}

BusId bus(std::uint8_t number) {
  return {.bus = number};
}

/// From link to link, from one end to the other.
void expectConnected(const Graph& graph, const Path& path, NodeId from, NodeId to) {
  ASSERT_FALSE(path.steps.empty());
  EXPECT_EQ(path.steps.front(), std::vector<NodeId>{from});
  EXPECT_EQ(path.steps.back(), std::vector<NodeId>{to});
  if (path.steps.size() == 2 && path.type == PathType::pix) return;  // ports of one card
  for (std::size_t i = 1; i < path.steps.size(); ++i)
    for (const NodeId a : path.steps[i - 1])
      for (const NodeId b : path.steps[i]) {
        bool linked = false;
        for (const int position : graph.linksFrom(a))
          linked = linked || graph.links()[static_cast<std::size_t>(position)].to == b;
        EXPECT_TRUE(linked) << graph.node(a).name << " > " << graph.node(b).name;
      }
}

void expectPathsToBeSound(const Graph& graph, Routing routing) {
  for (NodeId a = 0; a < static_cast<NodeId>(graph.nodes().size()); ++a)
    for (NodeId b = 0; b <= a; ++b) {
      SCOPED_TRACE(graph.node(a).name + " to " + graph.node(b).name);
      const Path there = findPath(graph, a, b, routing);
      const Path back = findPath(graph, b, a, routing);
      EXPECT_EQ(there.type, back.type);
      EXPECT_EQ(there.links, back.links);
      EXPECT_EQ(there.bottleneck, back.bottleneck);
      EXPECT_EQ(there.steps.empty(), there.type == PathType::dis);
      if (there.type == PathType::dis) continue;
      expectConnected(graph, there, a, b);
      expectConnected(graph, back, b, a);
    }
}

TEST(Path, OfADeviceToItselfIsThatDevice) {
  const Graph graph = preset("dgx-h100");
  EXPECT_EQ(pathText(graph, "GPU3", "GPU3"), "LOC 0 links, 0.0 GB/s: GPU3");
}

TEST(Path, TakesAllNvSwitchesSideBySide) {
  EXPECT_EQ(pathText(preset("dgx-h100"), "GPU0", "GPU7"),
            "NVL 18 links, 370.8 GB/s: GPU0 > NVSwitch0+NVSwitch1+NVSwitch2+NVSwitch3 > GPU7");
  EXPECT_EQ(pathText(preset("hgx-b200"), "GPU0", "GPU7"),
            "NVL 18 links, 721.8 GB/s: GPU0 > NVSwitch0+NVSwitch1 > GPU7");
}

/// A lost link is lost for all that it talks to, and for no others.
TEST(Path, ByNvSwitchesIsAsWideAsTheThinnerSideOfEach) {
  const Graph graph = writtenMachine("h100x8-dead-nvlink.xml");
  EXPECT_NEAR(between(graph, "GPU3", "GPU0").bottleneck.gigabytesPerSecond(), 17 * 20.6, 1e-6);
  EXPECT_NEAR(between(graph, "GPU0", "GPU3").bottleneck.gigabytesPerSecond(), 17 * 20.6, 1e-6);
  EXPECT_NEAR(between(graph, "GPU0", "GPU1").bottleneck.gigabytesPerSecond(), 18 * 20.6, 1e-6);
}

//  GPU0 - switch 05   switch 06 - GPU1      (two boards, as in a DGX-2)
TEST(Path, GoesFromBoardToBoardWhereGpusShareNoNvSwitch) {
  MachineBuilder builder("two boards");
  builder.addCpus(models::kXeon8480C, 1);
  for (std::uint8_t i = 0; i < 2; ++i) {
    const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10 + i), models::kA100);
    builder.addNvlinks(gpu, bus(0x05 + i), 6, pci_class::kNvSwitch);
  }
  EXPECT_EQ(pathText(Graph(builder.take()), "GPU0", "GPU1"),
            "NVL 6 links, 120.0 GB/s: GPU0 > NVSwitch0 > NVSwitch1 > GPU1");
}

/// Of several GPUs between, the one with the widest way, and of those the first.
TEST(Path, NvbTakesTheWidestWayOverOneOtherGpu) {
  const Graph graph = writtenMachine("dgx1-v100.xml");
  EXPECT_EQ(pathText(graph, "GPU0", "GPU7"), "NVB 2 links, 40.0 GB/s: GPU0 > GPU4 > GPU7");
  EXPECT_EQ(pathText(graph, "GPU7", "GPU0"), "NVB 2 links, 40.0 GB/s: GPU7 > GPU4 > GPU0");
  EXPECT_EQ(pathText(graph, "GPU1", "GPU6"), "NVB 2 links, 40.0 GB/s: GPU1 > GPU5 > GPU6");
  EXPECT_EQ(pathText(graph, "GPU0", "GPU5"), "NVB 1 links, 20.0 GB/s: GPU0 > GPU1 > GPU5");
  EXPECT_EQ(pathText(graph, "GPU2", "GPU7"), "NVB 1 links, 20.0 GB/s: GPU2 > GPU3 > GPU7");
}

TEST(Path, WithoutNvbGpusGoByTheirCpus) {
  const Graph graph = writtenMachine("dgx1-v100.xml");
  const Routing direct{.throughGpus = false};
  // QPI of Broadwell: 6 GB/s.
  EXPECT_EQ(pathText(graph, "GPU0", "GPU7", direct),
            "SYS 0 links, 6.0 GB/s: GPU0 > PCIe switch 0000:04:00.0 > NUMA 0 > NUMA 1 > "
            "PCIe switch 0000:88:00.0 > GPU7");
  EXPECT_EQ(between(graph, "GPU0", "GPU1", direct).type, PathType::nvl);
}

TEST(Path, CountsALinkAsFarAsBothEndsTellIt) {
  const Graph graph = writtenMachine("asymmetric-nvlinks.xml");
  EXPECT_EQ(pathText(graph, "GPU1", "GPU2"), "NVL 1 links, 20.0 GB/s: GPU1 > GPU2");
  EXPECT_EQ(pathText(graph, "GPU2", "GPU1"), "NVL 1 links, 20.0 GB/s: GPU2 > GPU1");
}

/// One end alone is no link: nobody knows what the other end is.
TEST(Path, NeedsBothEndsToTellALink) {
  MachineBuilder builder("one end");
  builder.addCpus(models::kXeon8480C, 1);
  const int first = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addGpu(builder.rootPorts(0), bus(0x20), kH100);
  builder.addNvlinks(first, bus(0x20), 4, pci_class::k3d);
  const Graph graph(builder.take());
  EXPECT_EQ(between(graph, "GPU0", "GPU1").type, PathType::phb);
  EXPECT_EQ(between(graph, "GPU1", "GPU0").type, PathType::phb);
}

/// One switch is PIX, two are PXB; a CPU between is PHB, and two are SYS.
TEST(Path, CountsPcieSwitches) {
  const Graph graph = writtenMachine("pcie-only.xml");
  const std::string s = "PCIe switch 0000:";
  EXPECT_EQ(pathText(graph, "GPU0", "GPU1"),
            "PIX 0 links, 27.5 GB/s: GPU0 > " + s + "02:00.0 > GPU1");
  EXPECT_EQ(pathText(graph, "GPU0", "mlx5_0"), "PXB 0 links, 27.5 GB/s: GPU0 > " + s +
                                                   "02:00.0 > " + s + "01:00.0 > " + s +
                                                   "05:00.0 > mlx5_0");
  EXPECT_EQ(pathText(graph, "GPU2", "mlx5_0"),
            "PIX 0 links, 27.5 GB/s: GPU2 > " + s + "05:00.0 > mlx5_0");
  EXPECT_EQ(pathText(graph, "GPU3", "GPU2"),
            "PHB 0 links, 27.5 GB/s: GPU3 > NUMA 0 > " + s + "01:00.0 > " + s + "05:00.0 > GPU2");
  EXPECT_EQ(between(graph, "GPU0", "GPU4").type, PathType::sys);
  EXPECT_EQ(pathText(graph, "GPU7", "eth0"), "PHB 0 links, 27.5 GB/s: GPU7 > NUMA 1 > eth0");
}

TEST(Path, EndsAtSwitchesAndCpusToo) {
  const Graph graph = writtenMachine("pcie-only.xml");
  EXPECT_EQ(between(graph, "GPU0", "PCIe switch 0000:02:00.0").type, PathType::pix);
  EXPECT_EQ(between(graph, "GPU0", "PCIe switch 0000:01:00.0").type, PathType::pxb);
  EXPECT_EQ(between(graph, "GPU0", "NUMA 0").type, PathType::phb);
  EXPECT_EQ(between(graph, "GPU0", "NUMA 1").type, PathType::sys);
  EXPECT_EQ(between(graph, "NUMA 1", "NUMA 0").type, PathType::sys);
}

/// The narrowest part is the slowest link on the way, and no other: the top switches of this
/// machine are at 5 GT/s, which only those who go by the CPU meet.
TEST(Path, IsAsWideAsItsNarrowestPart) {
  const std::string file = recordedFile("h100x8-nvswitch-baremetal.xml");
  if (!isThere(file)) GTEST_SKIP() << file << " is not there";
  const Graph graph = graphOf(file);
  EXPECT_NEAR(between(graph, "GPU0", "mlx5_0").bottleneck.gigabytesPerSecond(), 55.0, 1e-6);
  // 5 GT/s, 16 lanes, 8 of 10 bits, 55/64 of them data.
  EXPECT_NEAR(between(graph, "GPU0", "mlx5_3").bottleneck.gigabytesPerSecond(), 6.875, 1e-6);
  EXPECT_NEAR(between(graph, "GPU0", "mlx5_9").bottleneck.gigabytesPerSecond(), 6.875, 1e-6);
  EXPECT_NEAR(between(graph, "GPU0", "GPU7").bottleneck.gigabytesPerSecond(), 370.8, 1e-6);
}

TEST(Path, WhatIsNotKnownDoesNotNarrow) {
  MachineBuilder builder("one link known");
  builder.addCpus(models::kXeon8480C, 1);
  builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addGpu(builder.rootPorts(0), bus(0x20), {"unknown", 0, 90, {}});
  builder.addGpu(builder.rootPorts(0), bus(0x30), {"unknown", 0, 90, {}});
  const Graph graph(builder.take());
  EXPECT_NEAR(between(graph, "GPU0", "GPU1").bottleneck.gigabytesPerSecond(), 55.0, 1e-6);
  EXPECT_FALSE(between(graph, "GPU1", "GPU2").bottleneck.known());
}

//  NUMA 0 - switch 10 - GPU0        the two switches are one chip inside (NCCL's <pcilink>)
//  NUMA 1 - switch 20 - mlx5_0
TEST(Path, CrossesFromSwitchToSwitchInsideOneChip) {
  MachineBuilder builder("one chip");
  builder.addCpus(models::kXeon8480C, 2);
  const Slots first = builder.addSwitch(builder.rootPorts(0), bus(0x10), kGen5);
  const Slots second = builder.addSwitch(builder.rootPorts(1), bus(0x20), kGen5);
  builder.addGpu(first, bus(0x11), kH100);
  builder.addNic(second, bus(0x21), kConnectX7);
  Inventory inventory = builder.take();
  EXPECT_EQ(between(Graph(inventory), "GPU0", "mlx5_0").type, PathType::sys);
  inventory.pci[0].peerSwitches.push_back(bus(0x20));
  const std::string way = "PCIe switch 0000:10:00.0 > PCIe switch 0000:20:00.0";
  for (const bool bothTell : {false, true}) {
    if (bothTell) inventory.pci[1].peerSwitches.push_back(bus(0x10));
    const Graph graph(inventory);
    EXPECT_EQ(pathText(graph, "GPU0", "mlx5_0"),
              "PXB 0 links, 55.0 GB/s: GPU0 > " + way + " > mlx5_0");
    expectPathsToBeSound(graph, {});
  }
}

/// Ports of one card meet in it.
TEST(Path, BetweenPortsOfOneCardIsPix) {
  const Graph graph = writtenMachine("dgx-a100.xml");
  EXPECT_EQ(wayText(graph, between(graph, "mlx5_4", "mlx5_5")), "mlx5_4 > mlx5_5");
  EXPECT_EQ(wayText(graph, between(graph, "mlx5_10", "mlx5_11")), "mlx5_10 > mlx5_11");
}

TEST(Path, FromGraceTakesTheChipToChipLink) {
  const Graph graph = writtenMachine("gb200-tray.xml");
  EXPECT_EQ(pathText(graph, "GPU0", "GPU2"), "NVL 18 links, 721.8 GB/s: GPU0 > NVSwitch0 > GPU2");
  EXPECT_EQ(pathText(graph, "GPU0", "NUMA 0"), "C2C 0 links, 223.6 GB/s: GPU0 > NUMA 0");
  EXPECT_EQ(pathText(graph, "GPU0", "mlx5_0"), "P2C 0 links, 55.0 GB/s: GPU0 > NUMA 0 > mlx5_0");
  EXPECT_EQ(pathText(graph, "mlx5_4", "GPU3"),
            "P2C 0 links, 55.0 GB/s: mlx5_4 > PCIe switch 0016:01:00.0 > NUMA 1 > GPU3");
  EXPECT_EQ(between(graph, "GPU0", "mlx5_0").first, LinkKind::chipToChip);
  // Between two Graces NCCL counts what it counts between all Arm CPUs.
  EXPECT_EQ(pathText(graph, "GPU0", "mlx5_2"),
            "SYS 0 links, 6.0 GB/s: GPU0 > NUMA 0 > NUMA 1 > mlx5_2");
}

/// NCCL's mergePathType makes P2C out of chip-to-chip and PCIe only.
TEST(Path, ByNvlinksToACpuThatIsNoGraceIsPhb) {
  MachineBuilder builder("POWER9");
  builder.addCpus({"POWER9", "ppc64", "", kNone, kNone, 22, 4}, 2);
  for (std::uint8_t i = 0; i < 2; ++i) {
    const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10 + i), {"V100", 0x1db1, 70, {}});
    builder.addNvlinks(gpu, bus(0x00), 3, pci_class::kCpu);
  }
  builder.addNic(builder.rootPorts(0), bus(0x20), kConnectX7);
  const Graph graph(builder.take());
  EXPECT_EQ(pathText(graph, "GPU0", "NUMA 0"), "NVL 3 links, 60.0 GB/s: GPU0 > NUMA 0");
  EXPECT_EQ(pathText(graph, "GPU0", "GPU1"), "NVL 3 links, 60.0 GB/s: GPU0 > NUMA 0 > GPU1");
  EXPECT_EQ(pathText(graph, "GPU0", "mlx5_0"), "PHB 3 links, 55.0 GB/s: GPU0 > NUMA 0 > mlx5_0");
}

TEST(Path, PxnGoesByTheGpuNearTheNic) {
  const Graph graph = preset("dgx-h100");
  const std::string switches = " > NVSwitch0+NVSwitch1+NVSwitch2+NVSwitch3 > ";
  EXPECT_EQ(
      pathText(graph, "GPU0", "mlx5_1", kWithPxn),
      "PXN 18 links, 55.0 GB/s: GPU0" + switches + "GPU1 > PCIe switch 0000:20:00.0 > mlx5_1");
  EXPECT_EQ(
      pathText(graph, "mlx5_7", "GPU0", kWithPxn),
      "PXN 18 links, 55.0 GB/s: mlx5_7 > PCIe switch 0000:c0:00.0 > GPU7" + switches + "GPU0");
  EXPECT_EQ(between(graph, "GPU0", "mlx5_0", kWithPxn).type, PathType::pix);
  // Storage is near no GPU.
  EXPECT_EQ(between(graph, "GPU0", "mlx5_8", kWithPxn).type, PathType::phb);
  EXPECT_EQ(between(graph, "GPU0", "mlx5_1").type, PathType::phb);
}

TEST(Path, PxnNeedsNvlinks) {
  const Graph graph = preset("pcie-x8");
  EXPECT_EQ(matrixText(graph, kWithPxn), matrixText(graph));
}

/// NCCL lets the last part be P2C (NCCL_PXN_C2C), and stays on one machine, however far NVLinks
/// reach.
TEST(Path, PxnAtGraceStaysInItsTray) {
  const Graph tray = writtenMachine("gb200-tray.xml");
  EXPECT_EQ(pathText(tray, "GPU0", "mlx5_2", kWithPxn),
            "PXN 18 links, 55.0 GB/s: GPU0 > NVSwitch0 > GPU2 > NUMA 1 > mlx5_2");
  EXPECT_EQ(between(tray, "GPU0", "mlx5_1", kWithPxn).type, PathType::p2c);
  const Graph rack = preset("gb200-nvl72");
  EXPECT_EQ(between(rack, "GPU0", "host0/mlx5_2", kWithPxn).type, PathType::pxn);
  EXPECT_EQ(between(rack, "GPU0", "host1/mlx5_0", kWithPxn).type, PathType::net);
}

TEST(Path, BetweenMachinesIsByTheirNearestNics) {
  const Graph graph = preset("gb200-nvl72");
  EXPECT_EQ(pathText(graph, "host0/mlx5_0", "host17/mlx5_3"),
            "NET 0 links, 50.0 GB/s: host0/mlx5_0 > network > host17/mlx5_3");
  EXPECT_EQ(pathText(graph, "host0/NUMA 1", "host3/NUMA 0"),
            "NET 0 links, 50.0 GB/s: host0/NUMA 1 > host0/mlx5_2 > network > host3/mlx5_0 > "
            "host3/NUMA 0");
  EXPECT_EQ(pathText(graph, "GPU2", "host1/NUMA 1"),
            "NET 0 links, 50.0 GB/s: GPU2 > host0/NUMA 1 > host0/mlx5_2 > network > host1/mlx5_2 > "
            "host1/NUMA 1");
}

/// Without NVLinks between them GPUs of two machines meet in the network too.
TEST(Path, BetweenGpusOfTwoMachinesIsNetWithoutNvlinks) {
  MachineBuilder builder("two hosts");
  for (const char* host : {"a", "b"}) {
    builder.addCpus(models::kXeon8480C, 1, 1, host);
    const Slots below = builder.addSwitch(builder.rootPorts(0, host), bus(0x10), kGen5);
    const int gpu = builder.addGpu(below, bus(0x11), kH100);
    builder.addNvlinks(gpu, bus(0x05), 18, pci_class::kNvSwitch);
    builder.addNic(below, bus(0x12), kConnectX7);
  }
  const Graph graph(builder.take());
  EXPECT_EQ(
      pathText(graph, "GPU0", "GPU1"),
      "NET 0 links, 50.0 GB/s: GPU0 > host0/PCIe switch 0000:10:00.0 > host0/mlx5_0 > network "
      "> host1/mlx5_0 > host1/PCIe switch 0000:10:00.0 > GPU1");
}

TEST(Path, IsNoneWithoutAnyWay) {
  MachineBuilder builder("two hosts without NICs");
  for (const char* host : {"a", "b"}) {
    builder.addCpus(models::kXeon8480C, 1, 1, host);
    builder.addGpu(builder.rootPorts(0, host), bus(0x10), kH100);
  }
  const Graph graph(builder.take());
  EXPECT_EQ(pathText(graph, "GPU0", "GPU1"), "DIS 0 links, 0.0 GB/s: ");
}

/// No source says which CPU: no way is made up.
TEST(Path, IsNoneToADeviceThatIsNowhere) {
  MachineBuilder builder("homeless");
  builder.addCpus(models::kXeon8480C, 2);
  builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  Inventory inventory = builder.take();
  inventory.nics.emplace_back().name = "eth0";
  const Graph graph(std::move(inventory));
  EXPECT_EQ(between(graph, "GPU0", "eth0").type, PathType::dis);
  EXPECT_EQ(between(graph, "eth0", "GPU0").type, PathType::dis);
}

TEST(Path, IsSoundAndTheSameFromBothEnds) {
  for (const char* name : {"dgx-a100", "dgx-h100", "pcie-x8", "host"}) {
    SCOPED_TRACE(name);
    for (const bool pxn : {false, true}) expectPathsToBeSound(preset(name), {.pxn = pxn});
  }
  for (const char* file : {"dgx1-v100.xml", "dgx-a100.xml", "gb200-tray.xml", "pcie-only.xml",
                           "asymmetric-nvlinks.xml"}) {
    SCOPED_TRACE(file);
    for (const bool pxn : {false, true}) expectPathsToBeSound(writtenMachine(file), {.pxn = pxn});
  }
}

}  // namespace
}  // namespace lockstep::topology
