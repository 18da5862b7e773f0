// Rings and trees on machines of all shapes, checked without looking at how they were found.
#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/machine_builder.hpp"
#include "topology/presets/preset.hpp"
#include "topology/readers/reader.hpp"
#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"
#include "topology/search_checks.hpp"
#include "topology/shared_machines.hpp"

namespace lockstep::topology {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Machines.

//  Half A: 0 1 2 3, half B: 4 5 6 7. Inside each all are linked; between them 0=4, 1=5, 2-6, 3-7.
//  The matrix counts NVLinks of 20 GB/s: six for each GPU.
MachineBuilder v100CubeMesh() {
  constexpr std::array<std::array<int, 8>, 8> kLinks{{{0, 1, 1, 2, 2, 0, 0, 0},
                                                      {1, 0, 2, 1, 0, 2, 0, 0},
                                                      {1, 2, 0, 2, 0, 0, 1, 0},
                                                      {2, 1, 2, 0, 0, 0, 0, 1},
                                                      {2, 0, 0, 0, 0, 1, 1, 2},
                                                      {0, 2, 0, 0, 1, 0, 2, 1},
                                                      {0, 0, 1, 0, 1, 2, 0, 2},
                                                      {0, 0, 0, 1, 2, 1, 2, 0}}};
  MachineBuilder machine;
  std::array<int, 4> switches{};
  for (int package = 0; package < 2; ++package) machine.cpu(package);
  for (int i = 0; i < 4; ++i)
    switches[static_cast<std::size_t>(i)] = machine.pciSwitch(i / 2, kNone, 8);
  for (int i = 0; i < 8; ++i) machine.gpu(i / 4, switches[static_cast<std::size_t>(i / 2)], 70, 8);
  for (int a = 0; a < 8; ++a)
    for (int b = a + 1; b < 8; ++b)
      if (const int count = kLinks[static_cast<std::size_t>(a)][static_cast<std::size_t>(b)])
        machine.join(a, b, count);
  return machine;
}

//  package 0: four switches, each with a GPU and a 400 Gb/s NIC; package 1: the same.
//  Every GPU: 5, 4, 5 and 4 NVLinks of 20.6 GB/s to NVSwitch 0, 1, 2 and 3.
MachineBuilder h100(bool withNics) {
  MachineBuilder machine;
  for (int package = 0; package < 2; ++package) machine.cpu(package);
  for (int i = 0; i < 8; ++i) {
    const int above = machine.pciSwitch(i / 4);
    const int gpu = machine.gpu(i / 4, above, 90);
    if (withNics) machine.nic(i / 4, above, 400);
    for (int chip = 0; chip < 4; ++chip) machine.joinSwitch(gpu, chip, 5 - chip % 2);
  }
  return machine;
}

//  8 GPUs, each with one xGMI link of 48 GB/s to each other one.
MachineBuilder mi300() {
  MachineBuilder machine;
  machine.inventory.version = 2;
  for (int package = 0; package < 2; ++package) machine.cpu(package);
  for (int i = 0; i < 8; ++i) {
    machine.gpu(i / 4, machine.pciSwitch(i / 4), 304);
    machine.inventory.gpus.back().other = {{"gcn", "gfx942"}};
  }
  for (int a = 0; a < 8; ++a)
    for (int b = a + 1; b < 8; ++b) machine.join(a, b, 1, GpuLinkKind::xgmi);
  return machine;
}

//  package 0 --22 GB/s-- package 1, each: two switches of two GPUs. Generation 5 everywhere (55
//  GB/s).
MachineBuilder pcieX8(double uplink = 32) {
  MachineBuilder machine;
  for (int package = 0; package < 2; ++package) machine.cpu(package);
  std::array<int, 4> switches{};
  for (int i = 0; i < 4; ++i)
    switches[static_cast<std::size_t>(i)] = machine.pciSwitch(i / 2, kNone, uplink);
  // GPUs far apart have neighbouring numbers, so that their order is no help.
  for (int i = 0; i < 8; ++i) machine.gpu(i % 4 / 2, switches[static_cast<std::size_t>(i % 4)], 90);
  return machine;
}

//  18 trays of 4 GPUs, 18 NVLinks of 40.1 GB/s each to a switch that nobody sees.
MachineBuilder nvl72(bool visibleSwitches = false) {
  MachineBuilder machine;
  for (int tray = 0; tray < 18; ++tray) {
    const int cpu = machine.cpu(0, visibleSwitches ? "" : "tray" + std::to_string(tray));
    for (int i = 0; i < 4; ++i) {
      const int gpu = machine.gpu(cpu, kNone, 100);
      if (!visibleSwitches) machine.joinInvisibleSwitch(gpu, 18);
      for (int chip = 0; visibleSwitches && chip < 18; ++chip) machine.joinSwitch(gpu, chip, 1);
    }
  }
  return machine;
}

//  One CPU, GPUs at its root ports.
MachineBuilder bare(int gpus) {
  MachineBuilder machine;
  machine.cpu(0);
  for (int i = 0; i < gpus; ++i) machine.gpu(0, kNone, 90);
  return machine;
}

MachineBuilder random(unsigned seed) {
  std::mt19937 lots(seed);
  const auto below = [&](unsigned bound) { return static_cast<int>(lots() % bound); };
  MachineBuilder machine;
  const int cpus = 1 + below(4);
  for (int i = 0; i < cpus; ++i) machine.cpu(i / 2);
  std::vector<int> switches;
  for (int i = 0; i < 6; ++i) {
    const int above = switches.empty() || below(2) == 0
                          ? kNone
                          : switches[static_cast<std::size_t>(below(static_cast<unsigned>(i)))];
    const int cpu = above == kNone ? below(static_cast<unsigned>(cpus))
                                   : machine.inventory.pci[static_cast<std::size_t>(above)].cpu;
    switches.push_back(machine.pciSwitch(cpu, above, below(2) == 0 ? 16 : 32));
  }
  const int gpus = 2 + below(9);
  for (int i = 0; i < gpus; ++i) {
    const int above = switches[static_cast<std::size_t>(below(6))];
    const int cpu = machine.inventory.pci[static_cast<std::size_t>(above)].cpu;
    machine.gpu(cpu, above, 80);
    if (below(3) == 0) machine.nic(cpu, above, 100 * (1 + below(4)));
  }
  for (int a = 0; a < gpus; ++a)
    for (int b = a + 1; b < gpus; ++b)
      if (below(2) == 0) machine.join(a, b, 1 + below(4));
  return machine;
}

// Machines with known answers.

// Six links of 20 GB/s into each GPU: three rings that share no link, both ways round. NCCL finds
// the same six, and makes twelve channels of them.
TEST(Search, FillsTheCubeMeshOfV100) {
  const Graph graph(v100CubeMesh().inventory);
  const Rings rings = validRings(graph);
  EXPECT_EQ(rings.rings.size(), 6U);
  EXPECT_NEAR(gigabytes(rings.rings[0].bandwidth), 20, 1e-6);
  EXPECT_NEAR(gigabytes(rings.total), 120, 1e-6);
  EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
  EXPECT_TRUE(rings.complete);
  EXPECT_EQ(rings.channels, 12);
  for (const Ring& ring : rings.rings) EXPECT_EQ(ring.worst, PathType::nvl);
}

// What goes up and down a chain takes both directions of its links, so three chains do.
TEST(Search, HangsChainsIntoTheCubeMesh) {
  const Graph graph(v100CubeMesh().inventory);
  const Trees trees = validTrees(graph, findRings(graph));
  EXPECT_EQ(trees.trees.size(), 3U);
  EXPECT_NEAR(gigabytes(trees.total), 60, 1e-6);
  EXPECT_EQ(trees.trees[0].depth, 4);
}

TEST(Search, TakesAllOfAnNvSwitchWithOneRing) {
  const Graph graph(h100(false).inventory);
  const Rings rings = validRings(graph);
  ASSERT_EQ(rings.rings.size(), 1U);
  EXPECT_NEAR(gigabytes(rings.total), 370.8, 1e-6);
  EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
  EXPECT_EQ(rings.channels, 24);  // as NCCL's logs say (issue 1367)
}

// Each GPU is inside of one tree, with a parent and two children, and a leaf of the other: four
// streams into it share its links, so each tree has a quarter.
TEST(Search, NoGpuIsInsideOfBothTrees) {
  for (const int gpus : {7, 8, 16, 23}) {
    MachineBuilder machine = bare(gpus);
    for (int i = 0; i < gpus; ++i) machine.joinInvisibleSwitch(i, 18);
    const Graph graph(machine.inventory);
    const Trees trees = validTrees(graph, findRings(graph));
    ASSERT_EQ(trees.trees.size(), 2U);
    EXPECT_NEAR(gigabytes(trees.total), 370.8 / 2, 1e-6);
    EXPECT_LE(trees.trees[0].depth, 5);
    std::set<NodeId> inside;
    for (const Tree& tree : trees.trees) {
      std::set<NodeId> parents;
      for (const int parent : tree.parent)
        if (parent != kNone) parents.insert(tree.gpus[static_cast<std::size_t>(parent)]);
      for (const NodeId each : parents)
        EXPECT_TRUE(inside.insert(each).second) << gpus << " GPUs, " << graph.node(each).name;
    }
  }
}

TEST(Search, GivesEveryNicItsRing) {
  const Graph graph(h100(true).inventory);
  const Rings rings = validRings(graph, {.withNics = true});
  ASSERT_EQ(rings.rings.size(), 8U);
  EXPECT_NEAR(gigabytes(rings.total), 400, 1e-6);
  EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
  EXPECT_EQ(rings.narrow, "the NICs");
  EXPECT_EQ(rings.channels, 16);
  std::set<NodeId> in, out;
  for (const Ring& ring : rings.rings) {
    EXPECT_EQ(ring.worst, PathType::pix);
    in.insert(ring.nicIn);
    out.insert(ring.nicOut);
  }
  EXPECT_EQ(in.size(), 8U);
  EXPECT_EQ(out.size(), 8U);
}

// Over all GPUs a tree enters 14 times, so 8 GPUs of 370.8 GB/s take 211.9 at most.
TEST(Search, HangsATreeBelowEveryNic) {
  const Graph graph(h100(true).inventory);
  const Trees trees = validTrees(graph, findRings(graph, {.withNics = true}));
  ASSERT_EQ(trees.trees.size(), 8U);
  EXPECT_NEAR(gigabytes(trees.total), 370.8 * 8 / 14, 1e-6);
  EXPECT_EQ(trees.trees[0].depth, 3);
  std::set<NodeId> roots;
  for (const Tree& tree : trees.trees) roots.insert(tree.nic);
  EXPECT_EQ(roots.size(), 8U);
}

// The four GPUs of a tray may begin at any of its NICs: each begins at most one ring more than
// others do, and what is inside of one tree is a leaf of another.
TEST(Search, SpreadsTheBeginningsOverARack) {
  MachineBuilder machine = nvl72();
  for (int tray = 0; tray < 18; ++tray)
    for (int i = 0; i < 4; ++i) machine.nic(tray, kNone, 800);
  const Graph graph(machine.inventory);
  const Rings rings = validRings(graph, {.withNics = true});
  EXPECT_GE(gigabytes(rings.total), 721);
  std::set<NodeId> first;
  for (const Ring& ring : rings.rings) EXPECT_TRUE(first.insert(ring.gpus.front()).second);
  const Trees trees = validTrees(graph, rings);
  EXPECT_EQ(trees.trees[0].depth, 6);
  EXPECT_GE(gigabytes(trees.total), 300);
}

// Two GPUs and one NIC at each switch: a ring leaves where it came in.
TEST(Search, ComesBackToItsNic) {
  MachineBuilder machine;
  machine.cpu(0);
  for (int i = 0; i < 4; ++i) {
    const int above = machine.pciSwitch(0);
    for (int k = 0; k < 2; ++k) machine.joinInvisibleSwitch(machine.gpu(0, above, 80), 12);
    machine.nic(0, above, 200);
  }
  const Graph graph(machine.inventory);
  const Rings rings = validRings(graph, {.withNics = true});
  ASSERT_EQ(rings.rings.size(), 4U);
  EXPECT_NEAR(gigabytes(rings.total), 100, 1e-6);
  for (const Ring& ring : rings.rings) EXPECT_EQ(ring.nicIn, ring.nicOut);
}

// One card, 55 GB/s; two ports, 50 each.
TEST(Search, PortsOfACardShareItsLink) {
  MachineBuilder machine = bare(2);
  machine.join(0, 1, 18);
  machine.nic(0, kNone, 400);
  Nic second = machine.inventory.nics.back();
  second.name = "mlx5_1";
  second.device = 1;
  machine.inventory.nics.push_back(second);
  const Rings rings = validRings(Graph(machine.inventory), {.withNics = true});
  EXPECT_NEAR(gigabytes(rings.total), 55, 1e-6);
}

TEST(Search, LeavesOutNicsThatAreDown) {
  MachineBuilder machine = h100(true);
  machine.inventory.nics[3].up = false;
  const Rings rings = validRings(Graph(machine.inventory), {.withNics = true});
  EXPECT_NEAR(gigabytes(rings.total), 350, 1e-6);
}

// Seven links into each GPU, seven rings that share none: there are such (Tillson, 1980).
TEST(Search, FillsTheFullMeshOfMi300) {
  const Graph graph(mi300().inventory);
  const Rings rings = validRings(graph);
  EXPECT_NEAR(gigabytes(rings.total), 7 * 48, 1e-6);
  EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
  validTrees(graph, rings);
}

// For four GPUs there are no three rings that share no link; with half the bandwidth there are six.
TEST(Search, FillsAFullMeshOfFour) {
  MachineBuilder machine = bare(4);
  for (int a = 0; a < 4; ++a)
    for (int b = a + 1; b < 4; ++b) machine.join(a, b, 4);
  const Rings rings = validRings(Graph(machine.inventory));
  EXPECT_NEAR(gigabytes(rings.total), 12 * 20.6, 1e-6);
  EXPECT_EQ(rings.rings.size(), 6U);
}

// Once round, and over the narrow link between the packages once each way.
TEST(Search, GoesAlongTheTreeOfPcie) {
  const Graph graph(pcieX8().inventory);
  const Rings rings = validRings(graph);
  ASSERT_EQ(rings.rings.size(), 1U);
  EXPECT_NEAR(gigabytes(rings.total), 22, 1e-6);
  EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
  EXPECT_EQ(rings.narrow, "NUMA 0");
  EXPECT_EQ(rings.rings[0].worst, PathType::sys);
  const Trees trees = validTrees(graph, rings);
  EXPECT_NEAR(gigabytes(trees.total), 22, 1e-6);
  // Generation 1 above the switches: their links are the narrowest, and every ring goes up each
  // once.
  const Rings slow = validRings(Graph(pcieX8(2.5).inventory));
  EXPECT_NEAR(slow.efficiency(), 1, 1e-9);
  EXPECT_THAT(slow.narrow, HasSubstr("PCIe switch"));
}

TEST(Search, SpansARack) {
  for (const bool visible : {false, true}) {
    const Graph graph(nvl72(visible).inventory);
    const Rings rings = validRings(graph);
    ASSERT_EQ(rings.rings.size(), 1U);
    EXPECT_NEAR(gigabytes(rings.total), 721.8, 1e-6);
    EXPECT_NEAR(rings.efficiency(), 1, 1e-9);
    EXPECT_EQ(rings.channels, 32);
    const Trees trees = validTrees(graph, rings);
    EXPECT_NEAR(gigabytes(trees.total), 721.8 / 2, 1e-6);
    EXPECT_EQ(trees.trees[0].depth, 6);
  }
}

// A dead link costs every ring its share: 17 links are left.
TEST(Search, LosesWhatADeadLinkCarried) {
  MachineBuilder machine = h100(false);
  machine.inventory.gpus[3].links[2].count -= 1;
  const Rings one = validRings(Graph(machine.inventory));
  EXPECT_NEAR(gigabytes(one.total), 17 * 20.6, 1e-6);
  EXPECT_EQ(one.narrow, "GPU3");
  // With another at another GPU and switch, the two are no neighbours: 16 links join them.
  machine.inventory.gpus[4].links[0].count -= 1;
  const Rings two = validRings(Graph(machine.inventory));
  EXPECT_NEAR(gigabytes(two.total), 17 * 20.6, 1e-6);
}

TEST(Search, LosesOneRingEachWayInTheCubeMesh) {
  MachineBuilder machine = v100CubeMesh();
  for (GpuLinks& links : machine.inventory.gpus[0].links)
    if (links.target == machine.busOf(1)) links.count = 0;
  const Rings rings = validRings(Graph(machine.inventory));
  EXPECT_NEAR(gigabytes(rings.bound), 100, 1e-6);
  EXPECT_GE(gigabytes(rings.total), 80);
}

// Small, odd, and impossible ones.

TEST(Search, TwoGpusAreARing) {
  MachineBuilder machine = bare(2);
  machine.join(0, 1, 12);
  const Graph graph(machine.inventory);
  const Rings rings = validRings(graph);
  EXPECT_NEAR(gigabytes(rings.total), 12 * 20.6, 1e-6);
  const Trees trees = validTrees(graph, rings);
  EXPECT_EQ(trees.trees.size(), 1U);
  EXPECT_NEAR(gigabytes(trees.total), 12 * 20.6, 1e-6);
}

TEST(Search, ThreeGpusAreARing) {
  MachineBuilder machine = bare(3);
  for (int i = 0; i < 3; ++i) machine.joinInvisibleSwitch(i, 18);
  const Graph graph(machine.inventory);
  const Trees trees = validTrees(graph, validRings(graph));
  EXPECT_NEAR(gigabytes(trees.total), 370.8 * 2 / 3, 1e-6);
}

TEST(Search, SaysWhyThereAreNoRings) {
  EXPECT_EQ(findRings(Graph(bare(0).inventory)).reason, "there is no GPU");
  EXPECT_EQ(findRings(Graph(bare(1).inventory)).reason, "there is only one GPU");
  EXPECT_EQ(findRings(Graph(bare(2).inventory), {.withNics = true}).reason,
            "there is no NIC that a GPU reaches");
  EXPECT_EQ(findTrees(Graph(bare(0).inventory), findRings(Graph(bare(0).inventory))).reason,
            "there is no GPU");
  EXPECT_THAT(findRings(Graph(bare(kMostSearchedGpus - 7).inventory)).reason, IsEmpty());
}

TEST(Search, SaysWhichGpusAreApart) {
  MachineBuilder machine;
  machine.cpu(0, "a");
  machine.cpu(0, "b");
  for (int i = 0; i < 4; ++i) machine.gpu(i / 2, kNone, 90);
  const Rings rings = findRings(Graph(machine.inventory));
  EXPECT_THAT(rings.rings, IsEmpty());
  EXPECT_EQ(rings.reason, "GPU0 does not reach GPU2");
  EXPECT_EQ(rings.channels, 0);
  EXPECT_EQ(print(Graph(machine.inventory), rings), "no rings: GPU0 does not reach GPU2\n");
}

// Four machines by their NICs: GPUs of one share what its NIC carries.
TEST(Search, GoesByTheNetworkWhereItMust) {
  MachineBuilder machine;
  for (int host = 0; host < 4; ++host) {
    const int cpu = machine.cpu(0, "host" + std::to_string(host));
    for (int i = 0; i < 2; ++i) machine.gpu(cpu, kNone, 90);
    machine.nic(cpu, kNone, 100);
  }
  const Rings rings = validRings(Graph(machine.inventory));
  EXPECT_NEAR(gigabytes(rings.total), 12.5, 1e-6);
  EXPECT_EQ(rings.rings[0].worst, PathType::net);
}

TEST(Search, OneGpuAndItsNic) {
  MachineBuilder machine = bare(1);
  machine.nic(0, kNone, 200);
  const Graph graph(machine.inventory);
  const Rings rings = validRings(graph, {.withNics = true});
  EXPECT_NEAR(gigabytes(rings.total), 25, 1e-6);
  validTrees(graph, rings);
}

TEST(Search, KnowsNoBandwidthWhereNoLinkIsKnown) {
  MachineBuilder machine = bare(4);
  for (PciDevice& device : machine.inventory.pci) device.link = {};
  const Graph graph(machine.inventory);
  const Rings rings = validRings(graph);
  EXPECT_FALSE(rings.total.known());
  EXPECT_FALSE(rings.bound.known());
  EXPECT_EQ(rings.efficiency(), 0);
  EXPECT_THAT(print(graph, rings), HasSubstr("1 ring, bandwidth not known; 2 channels"));
  validTrees(graph, rings);
}

// Of any machine.

TEST(Search, NeverExceedsLinksOrBounds) {
  double sum = 0;
  constexpr int kMachines = 60;
  for (unsigned seed = 0; seed < kMachines; ++seed) {
    SCOPED_TRACE(seed);
    const Graph graph(random(seed).inventory);
    const SearchOptions quick{.budget = 300'000};
    const Rings rings = validRings(graph, quick);
    validTrees(graph, rings);
    sum += rings.efficiency();
    if (graph.ofKind(NodeKind::nic).empty()) continue;
    const Rings outward = validRings(graph, {.withNics = true, .budget = 300'000});
    validTrees(graph, outward);
  }
  EXPECT_GE(sum / kMachines, 0.8);  // of bounds that hop by hop may be out of reach
}

TEST(Search, AnswersTheSameEveryTime) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Graph graph(random(seed).inventory);
    EXPECT_EQ(print(graph, findRings(graph, {.budget = 300'000})),
              print(graph, findRings(graph, {.budget = 300'000})));
  }
}

TEST(Search, GivesWhatItHasWhenItsBudgetIsSpent) {
  const Graph graph(mi300().inventory);
  const Rings rings = validRings(graph, {.budget = 100});
  EXPECT_FALSE(rings.complete);
  EXPECT_LT(rings.efficiency(), 1);
}

TEST(Search, PrintsOneLineForEach) {
  const Graph graph(pcieX8().inventory);
  const Rings rings = findRings(graph);
  EXPECT_EQ(print(graph, rings),
            "1 ring, 22.0 GB/s in all, the most that NUMA 0 can carry; 2 channels\n"
            "ring 0: GPU0 GPU4 GPU5 GPU1 GPU2 GPU6 GPU7 GPU3  22.0 GB/s  SYS\n");
  EXPECT_EQ(print(graph, findTrees(graph, rings)),
            "1 tree, 22.0 GB/s in all, the most that NUMA 0 can carry; 2 channels\n"
            "tree 0: GPU0 (GPU3 (GPU7 (GPU6 (GPU2))) GPU4 (GPU5 (GPU1)))  22.0 GB/s  SYS\n");
  const Graph rails(h100(true).inventory);
  EXPECT_THAT(
      print(rails, findRings(rails, {.withNics = true})),
      HasSubstr(
          "ring 1: mlx5_1 > GPU1 GPU2 GPU3 GPU4 GPU5 GPU6 GPU7 GPU0 > mlx5_0  50.0 GB/s  PIX\n"));
}

// Machines of others.

void expectValidEverywhere(const Graph& graph) {
  const Rings rings = validRings(graph);
  validTrees(graph, rings);
  if (graph.ofKind(NodeKind::nic).empty()) return;
  const Rings outward = validRings(graph, {.withNics = true});
  validTrees(graph, outward);
}

TEST(Search, RunsOnPresets) {
  if (allPresets().empty()) GTEST_SKIP() << "no preset is built in";
  for (const Preset* preset : allPresets()) {
    SCOPED_TRACE(preset->name);
    const Graph graph(preset->make());
    if (graph.ofKind(NodeKind::gpu).size() > 1) expectValidEverywhere(graph);
  }
}

TEST(Search, RunsOnRecordedMachines) {
  LOCKSTEP_NEED_SHARED_MACHINES();
  for (const std::string_view file : kSharedNcclXml) {
    SCOPED_TRACE(file);
    expectValidEverywhere(Graph(readTopologyFile(sharedMachine(file)).inventory));
  }
}

}  // namespace
}  // namespace lockstep::topology
