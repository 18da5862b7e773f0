// Graphs: nodes, links and names out of inventories, and what is left out with a remark.
#include "topology/graph/graph.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/machine_files.hpp"
#include "topology/presets/parts/builder.hpp"
#include <lockstep/error.hpp>

namespace lockstep::topology {
namespace {

using models::kConnectX7;
using models::kGen5;
using models::kH100;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

BusId bus(std::uint8_t number) {
  return {.bus = number};
}

std::vector<std::string> names(const Graph& graph) {
  std::vector<std::string> all;
  for (const Node& node : graph.nodes()) all.push_back(node.name);
  return all;
}

/// "GPU0 > NUMA 0: PCIe 16 x 55.0": of all links from one node.
std::vector<std::string> linksFrom(const Graph& graph, const std::string& name) {
  std::vector<std::string> all;
  for (const int position : graph.linksFrom(nodeNamed(graph, name))) {
    const Link& link = graph.links()[static_cast<std::size_t>(position)];
    all.push_back(fmt::format("{} {}, {:.1f} GB/s to {}", topology::name(link.kind), link.count,
                              link.bandwidth.gigabytesPerSecond(), graph.node(link.to).name));
  }
  return all;
}

MachineBuilder oneSocket() {
  MachineBuilder builder("test");
  builder.addCpus(models::kXeon8480C, 1);
  return builder;
}

//  NUMA 0 - switch 10 - GPU0, mlx5_0        NUMA 1
TEST(Graph, HasANodeForEveryDeviceAndLinksBothWays) {
  MachineBuilder builder("test");
  builder.addCpus(models::kXeon8480C, 2);
  const Slots below = builder.addSwitch(builder.rootPorts(0), bus(0x10), kGen5);
  builder.addGpu(below, bus(0x11), kH100);
  builder.addNic(below, bus(0x12), kConnectX7);
  const Graph graph(builder.take());
  EXPECT_THAT(names(graph),
              ElementsAre("NUMA 0", "NUMA 1", "PCIe switch 0000:10:00.0", "GPU0", "mlx5_0"));
  EXPECT_THAT(linksFrom(graph, "GPU0"),
              ElementsAre("PCIe 16, 55.0 GB/s to PCIe switch 0000:10:00.0"));
  EXPECT_THAT(linksFrom(graph, "PCIe switch 0000:10:00.0"),
              ElementsAre("PCIe 16, 55.0 GB/s to NUMA 0", "PCIe 16, 55.0 GB/s to GPU0",
                          "PCIe 16, 55.0 GB/s to mlx5_0"));
  EXPECT_THAT(linksFrom(graph, "NUMA 1"), ElementsAre("inter-CPU 1, 22.0 GB/s to NUMA 0"));
  EXPECT_THAT(graph.remarks(), IsEmpty());
  const Node& gpu = graph.node(nodeNamed(graph, "GPU0"));
  EXPECT_EQ(gpu.kind, NodeKind::gpu);
  EXPECT_EQ(graph.node(gpu.cpu).name, "NUMA 0");
  EXPECT_EQ(gpu.bus, bus(0x11));
  EXPECT_FALSE(gpu.bare);
}

TEST(Graph, OfNothingIsEmpty) {
  const Graph graph{Inventory{}};
  EXPECT_THAT(graph.nodes(), IsEmpty());
  EXPECT_THAT(graph.remarks(), IsEmpty());
  EXPECT_EQ(graph.hosts(), 1);
}

/// As in hint files, which have no <gpu> and no <net>.
TEST(Graph, TakesGpusAndNicsThatOnlyPciShows) {
  MachineBuilder builder = oneSocket();
  builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNic(builder.rootPorts(0), bus(0x20), kConnectX7);
  Inventory inventory = builder.take();
  inventory.gpus.clear();
  inventory.nics.clear();
  const Graph graph(inventory);
  EXPECT_THAT(names(graph), ElementsAre("NUMA 0", "GPU0", "NIC0"));
  EXPECT_TRUE(graph.nodes()[1].bare);
  EXPECT_TRUE(graph.nodes()[2].bare);
}

/// Beside known ones their bus id tells them apart.
TEST(Graph, NamesBareDevicesByTheirPlaceWhereOthersHaveNumbers) {
  MachineBuilder builder = oneSocket();
  builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addGpu(builder.rootPorts(0), bus(0x11), kH100);
  Inventory inventory = builder.take();
  inventory.gpus.pop_back();
  EXPECT_THAT(names(Graph(inventory)), ElementsAre("NUMA 0", "GPU0", "GPU 0000:11:00.0"));
}

TEST(Graph, NumbersGpusAsTheirSourceDoes) {
  MachineBuilder builder = oneSocket();
  builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addGpu(builder.rootPorts(0), bus(0x11), kH100);
  Inventory inventory = builder.take();
  inventory.gpus[0].device = 5;
  inventory.gpus[1].device = 2;
  EXPECT_THAT(names(Graph(inventory)), ElementsAre("NUMA 0", "GPU2", "GPU5"));
  inventory.gpus[1].device = 5;  // tells nothing apart
  EXPECT_THAT(names(Graph(inventory)), ElementsAre("NUMA 0", "GPU0", "GPU1"));
  inventory.gpus[1].device = kNone;
  EXPECT_THAT(names(Graph(inventory)), ElementsAre("NUMA 0", "GPU0", "GPU1"));
}

TEST(Graph, GivesEveryNodeItsOwnName) {
  MachineBuilder builder = oneSocket();
  for (std::uint8_t i = 0; i < 4; ++i)
    builder.addNic(builder.rootPorts(0), bus(0x10 + i), kConnectX7);
  Inventory inventory = builder.take();
  inventory.nics[0].name = inventory.nics[2].name = inventory.nics[3].name = "mlx5_bond";
  inventory.nics[1].name = "mlx5_bond#2";
  EXPECT_THAT(names(Graph(inventory)),
              ElementsAre("NUMA 0", "mlx5_bond", "mlx5_bond#2", "mlx5_bond#3", "mlx5_bond#4"));
  inventory.nics[1].name = "mlx5_1";
  EXPECT_THAT(names(Graph(inventory)),
              ElementsAre("NUMA 0", "mlx5_bond", "mlx5_1", "mlx5_bond#2", "mlx5_bond#3"));
}

/// A source may tell one target several times.
TEST(Graph, AddsUpLinksToOneTarget) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNvlinks(gpu, bus(0x05), 2, pci_class::kNvSwitch);
  builder.addNvlinks(gpu, bus(0x05), 3, pci_class::kNvSwitch);
  const Graph graph(builder.take());
  EXPECT_THAT(names(graph), ElementsAre("NUMA 0", "GPU0", "NVSwitch0"));
  EXPECT_THAT(linksFrom(graph, "NVSwitch0"), ElementsAre("NVLink 5, 103.0 GB/s to GPU0"));
}

TEST(Graph, LeavesOutLinksToNowhereAndSaysSo) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNvlinks(gpu, bus(0x77), 4, pci_class::k3d);
  const Graph graph(builder.take());
  EXPECT_THAT(graph.remarks(), ElementsAre(AllOf(HasSubstr("GPU0"), HasSubstr("4 NVLinks"),
                                                 HasSubstr("0000:77:00.0"))));
  EXPECT_EQ(linksFrom(graph, "GPU0").size(), 1U);
}

TEST(Graph, LeavesOutLinksToTheGpuItselfAndSaysSo) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNvlinks(gpu, bus(0x10), 12, pci_class::k3d);
  const Graph graph(builder.take());
  EXPECT_THAT(graph.remarks(),
              ElementsAre(AllOf(HasSubstr("GPU0"), HasSubstr("12 NVLinks"), HasSubstr("itself"))));
  EXPECT_EQ(linksFrom(graph, "GPU0").size(), 1U);
}

TEST(Graph, LeavesOutPeerSwitchesThatAreNowhereAndSaysSo) {
  MachineBuilder builder = oneSocket();
  builder.addSwitch(builder.rootPorts(0), bus(0x10), kGen5);
  Inventory inventory = builder.take();
  inventory.pci[0].peerSwitches = {bus(0x77), bus(0x10)};  // nowhere, and itself
  const Graph graph(inventory);
  EXPECT_THAT(graph.remarks(),
              ElementsAre(AllOf(HasSubstr("0000:10:00.0"), HasSubstr("0000:77:00.0"))));
  EXPECT_EQ(linksFrom(graph, "PCIe switch 0000:10:00.0").size(), 1U);
}

TEST(Graph, TakesNoLinksOutOfCountsBelowOne) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNvlinks(gpu, bus(0x05), 0, pci_class::kNvSwitch);
  builder.addNvlinks(gpu, bus(0x05), -3, pci_class::kNvSwitch);
  builder.addChipToChip(gpu, -1, Bandwidth::gigabytesPerSecond(40));
  EXPECT_EQ(linksFrom(Graph(builder.take()), "GPU0").size(), 1U);
}

/// Of hosts that have the same bus ids.
TEST(Graph, KeepsHostsApart) {
  MachineBuilder builder("test");
  for (const char* host : {"a", "b"}) {
    builder.addCpus(models::kXeon8480C, 1, 1, host);
    const int gpu = builder.addGpu(builder.rootPorts(0, host), bus(0x10), kH100);
    builder.addNvlinks(gpu, bus(0x05), 18, pci_class::kNvSwitch);
    builder.addNic(builder.rootPorts(0, host), bus(0x20), kConnectX7);
  }
  const Graph graph(builder.take());
  EXPECT_EQ(graph.hosts(), 2);
  EXPECT_THAT(names(graph), ElementsAre("host0/NUMA 0", "host1/NUMA 0", "GPU0", "GPU1", "NVSwitch0",
                                        "NVSwitch1", "host0/mlx5_0", "host1/mlx5_0", "network"));
  EXPECT_THAT(linksFrom(graph, "host0/NUMA 0"),
              ElementsAre("PCIe 16, 55.0 GB/s to GPU0", "PCIe 16, 55.0 GB/s to host0/mlx5_0"));
  EXPECT_THAT(linksFrom(graph, "GPU1"), ElementsAre("PCIe 16, 55.0 GB/s to host1/NUMA 0",
                                                    "NVLink 18, 370.8 GB/s to NVSwitch1"));
  EXPECT_THAT(linksFrom(graph, "network"), ElementsAre("network 1, 50.0 GB/s to host0/mlx5_0",
                                                       "network 1, 50.0 GB/s to host1/mlx5_0"));
}

/// The switch that no machine sees is one for all of them.
TEST(Graph, SharesTheInvisibleSwitch) {
  MachineBuilder builder("test");
  for (const char* host : {"a", "b"}) {
    builder.addCpus(models::kGrace, 1, 1, host);
    const int gpu = builder.addGpu(builder.rootPorts(0, host), bus(0x10), models::kGb200);
    builder.addNvlinks(gpu, kInvisibleSwitch, 18, pci_class::kNvSwitch);
  }
  const Graph graph(builder.take());
  EXPECT_EQ(graph.ofKind(NodeKind::nvSwitch).size(), 1U);
  EXPECT_THAT(linksFrom(graph, "NVSwitch0"),
              ElementsAre("NVLink 18, 721.8 GB/s to GPU0", "NVLink 18, 721.8 GB/s to GPU1"));
}

TEST(Graph, LinksNoNicThatIsDown) {
  MachineBuilder builder("test");
  for (const char* host : {"a", "b"}) {
    builder.addCpus(models::kXeon8480C, 1, 1, host);
    builder.addNic(builder.rootPorts(0, host), bus(0x20), kConnectX7);
  }
  Inventory inventory = builder.take();
  inventory.nics[0].up = false;
  inventory.nics[1].up = true;
  EXPECT_THAT(linksFrom(Graph(inventory), "network"),
              ElementsAre("network 1, 50.0 GB/s to host1/mlx5_0"));
}

/// Where there is one CPU everything is on it; where there are two nobody guesses.
TEST(Graph, PlacesDevicesWithoutCpuOnlyWhereThereIsOne) {
  PciDevice gpu;
  gpu.id = bus(0x10);
  gpu.classCode = pci_class::k3d;
  Inventory inventory = oneSocket().take();
  inventory.pci.push_back(gpu);
  EXPECT_THAT(linksFrom(Graph(inventory), "NUMA 0"), ElementsAre("PCIe 0, 0.0 GB/s to GPU0"));
  inventory.cpus.push_back(inventory.cpus.front());
  inventory.cpus.back().numa = 1;
  const Graph graph(inventory);
  EXPECT_THAT(linksFrom(graph, "GPU0"), IsEmpty());
  EXPECT_THAT(graph.remarks(), ElementsAre(HasSubstr("1 PCI device: no source says")));
}

/// Below a switch means on its CPU, whatever is said of the device.
TEST(Graph, BelievesTheTreeMoreThanTheNode) {
  MachineBuilder builder("test");
  builder.addCpus(models::kXeon8480C, 2);
  const Slots below = builder.addSwitch(builder.rootPorts(0), bus(0x10), kGen5);
  builder.addGpu({.cpu = builder.rootPorts(1).cpu, .parent = below.parent}, bus(0x11), kH100);
  const Graph graph(builder.take());
  EXPECT_EQ(graph.node(graph.node(nodeNamed(graph, "GPU0")).cpu).name, "NUMA 0");
}

TEST(Graph, RefusesMoreThanItCanDraw) {
  Inventory inventory = oneSocket().take();
  inventory.source = "huge.xml";
  inventory.nics.resize(4097);
  try {
    const Graph graph(inventory);
    FAIL() << "built";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("huge.xml"), HasSubstr("4097 NICs"), HasSubstr("at most 4096")));
  }
  inventory.nics.resize(4096);
  EXPECT_EQ(Graph(inventory).ofKind(NodeKind::nic).size(), 4096U);
  inventory.nics.clear();
  inventory.cpus.resize(1025);
  EXPECT_THROW(Graph{inventory}, Error);
}

/// Whether a source knows them, or PCI or links alone show them.
TEST(Graph, RefusesMoreThanItCanDrawOfWhatOnlyPciShows) {
  Inventory inventory = oneSocket().take();
  PciDevice gpu;
  gpu.classCode = pci_class::k3d;
  for (std::uint32_t domain = 0; domain <= 4096; ++domain) {
    gpu.id = {.domain = domain};
    inventory.pci.push_back(gpu);
  }
  EXPECT_THROW(Graph{inventory}, Error);
  inventory.pci.pop_back();
  EXPECT_EQ(Graph(inventory).ofKind(NodeKind::gpu).size(), 4096U);
}

TEST(Graph, RefusesMoreNvSwitchesThanItCanDraw) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  for (std::uint32_t domain = 1; domain <= 4097; ++domain)
    builder.addNvlinks(gpu, {.domain = domain}, 1, pci_class::kNvSwitch);
  EXPECT_THROW(Graph{builder.take()}, Error);
}

/// As old drivers tell them.
TEST(Graph, KnowsByPciWhatLinksWithoutClassLeadTo) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  builder.addNvlinks(gpu, bus(0x05), 18, 0);
  Inventory inventory = builder.take();
  PciDevice chip;
  chip.id = bus(0x05);
  chip.classCode = pci_class::kNvSwitch;
  inventory.pci.push_back(chip);
  EXPECT_THAT(linksFrom(Graph(inventory), "NVSwitch0"),
              ElementsAre("NVLink 18, 370.8 GB/s to GPU0"));
}

/// Whoever filled the inventory has a bug; that is not the user's fault.
TEST(Graph, RefusesRowsThatPointNowhere) {
  Inventory inventory = oneSocket().take();
  inventory.gpus.emplace_back().pci = 3;
  try {
    const Graph graph(inventory);
    FAIL() << "built";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::internal);
  }
}

TEST(Graph, HasBoundedRemarks) {
  MachineBuilder builder = oneSocket();
  const int gpu = builder.addGpu(builder.rootPorts(0), bus(0x10), kH100);
  for (int i = 0; i < 1000; ++i) builder.addNvlinks(gpu, bus(0x77), 1, pci_class::k3d);
  EXPECT_EQ(Graph(builder.take()).remarks().size(), 100U);
}

}  // namespace
}  // namespace lockstep::topology
