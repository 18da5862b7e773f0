// Presets: what they are made of, and their whole matrices, worked out by hand from their drawings.
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "topology/graph/path.hpp"
#include "topology/machine_files.hpp"
#include "topology/matrix_text.hpp"
#include "topology/inventory/thread_mask.hpp"
#include "topology/presets/preset.hpp"
#include <lockstep/error.hpp>

namespace lockstep::topology {
namespace {

Graph preset(std::string_view name) {
  return Graph(findPreset(name).make());
}

Path between(const Graph& graph, const std::string& from, const std::string& to) {
  return findPath(graph, nodeNamed(graph, from), nodeNamed(graph, to));
}

TEST(Presets, AreFoundByName) {
  const std::set<std::string_view> expected{"dgx-a100", "dgx-h100",    "hgx-h200", "hgx-b200",
                                            "hgx-b300", "gb200-nvl72", "pcie-x8",  "host"};
  std::set<std::string_view> names;
  for (const Preset* each : allPresets()) {
    names.insert(each->name);
    EXPECT_EQ(&findPreset(each->name), each);
    EXPECT_FALSE(each->what.empty()) << each->name;
  }
  EXPECT_EQ(names, expected);
}

TEST(Presets, WhoAsksForAnotherIsToldWhichThereAre) {
  try {
    findPreset("dgx-1");
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    const std::string what = error.what();
    EXPECT_NE(what.find("\"dgx-1\""), std::string::npos) << what;
    EXPECT_NE(what.find("dgx-a100, "), std::string::npos) << what;
    EXPECT_NE(what.find("pcie-x8"), std::string::npos) << what;
  }
}

TEST(Presets, MakeSoundMachinesWithoutRemarks) {
  for (const Preset* each : allPresets()) {
    const Inventory inventory = each->make();
    EXPECT_EQ(inventory.source, "preset " + std::string(each->name));
    requireSound(inventory);
    EXPECT_EQ(Graph(inventory).remarks(), std::vector<std::string>{}) << each->name;
  }
}

/// Two devices at one place of one machine would be one.
TEST(Presets, GiveEveryDeviceItsOwnPlace) {
  for (const Preset* each : allPresets()) {
    const Inventory inventory = each->make();
    std::set<std::pair<std::string, BusId>> places;
    for (const PciDevice& device : inventory.pci)
      EXPECT_TRUE(places.insert({hostOf(inventory, device), device.id}).second)
          << each->name << ": " << print(device.id);
  }
}

struct Parts {
  int hosts, cpus, gpus, nvSwitches, nics, sm;
  double gigabytes;  ///< from GPU0 to the last
};

TEST(Presets, HaveThePartsOfTheirDataSheets) {
  const std::map<std::string_view, Parts> expected{
      {"dgx-a100", {1, 8, 8, 6, 12, 80, 240.0}},  {"dgx-h100", {1, 2, 8, 4, 12, 90, 370.8}},
      {"hgx-h200", {1, 2, 8, 4, 12, 90, 370.8}},  {"hgx-b200", {1, 2, 8, 2, 12, 100, 721.8}},
      {"hgx-b300", {1, 2, 8, 2, 12, 103, 721.8}}, {"gb200-nvl72", {18, 36, 72, 1, 108, 100, 721.8}},
      {"pcie-x8", {1, 2, 8, 0, 5, 89, 22.0}},
  };
  for (const auto& [name, parts] : expected) {
    SCOPED_TRACE(name);
    const Graph graph = preset(name);
    const auto count = [&](NodeKind kind) { return static_cast<int>(graph.ofKind(kind).size()); };
    EXPECT_EQ(graph.hosts(), parts.hosts);
    EXPECT_EQ(count(NodeKind::cpu), parts.cpus);
    EXPECT_EQ(count(NodeKind::gpu), parts.gpus);
    EXPECT_EQ(count(NodeKind::nvSwitch), parts.nvSwitches);
    EXPECT_EQ(count(NodeKind::nic), parts.nics);
    for (const Gpu& gpu : graph.inventory().gpus) EXPECT_EQ(gpu.sm, parts.sm);
    const std::vector<NodeId>& gpus = graph.ofKind(NodeKind::gpu);
    const Path path = findPath(graph, gpus.front(), gpus.back());
    EXPECT_NEAR(path.bottleneck.gigabytesPerSecond(), parts.gigabytes, 1e-6);
  }
}

TEST(Presets, AHostHasNoGpus) {
  const Graph graph = preset("host");
  EXPECT_EQ(graph.nodes().size(), 2U);
  EXPECT_EQ(between(graph, "NUMA 0", "NUMA 1").type, PathType::sys);
}

// presets/parts/hgx.hpp has the drawing. mlx5_8 and 9 are two ports on NUMA 0, 10 and 11 on NUMA 1.
TEST(Presets, HgxMatrix) {
  const std::string expected = table(R"(
    GPU0 X    NV18 NV18 NV18 NV18 NV18 NV18 NV18
    GPU1 NV18 X    NV18 NV18 NV18 NV18 NV18 NV18
    GPU2 NV18 NV18 X    NV18 NV18 NV18 NV18 NV18
    GPU3 NV18 NV18 NV18 X    NV18 NV18 NV18 NV18
    GPU4 NV18 NV18 NV18 NV18 X    NV18 NV18 NV18
    GPU5 NV18 NV18 NV18 NV18 NV18 X    NV18 NV18
    GPU6 NV18 NV18 NV18 NV18 NV18 NV18 X    NV18
    GPU7 NV18 NV18 NV18 NV18 NV18 NV18 NV18 X

    GPU0 PIX PHB PHB PHB SYS SYS SYS SYS PHB PHB SYS SYS
    GPU1 PHB PIX PHB PHB SYS SYS SYS SYS PHB PHB SYS SYS
    GPU2 PHB PHB PIX PHB SYS SYS SYS SYS PHB PHB SYS SYS
    GPU3 PHB PHB PHB PIX SYS SYS SYS SYS PHB PHB SYS SYS
    GPU4 SYS SYS SYS SYS PIX PHB PHB PHB SYS SYS PHB PHB
    GPU5 SYS SYS SYS SYS PHB PIX PHB PHB SYS SYS PHB PHB
    GPU6 SYS SYS SYS SYS PHB PHB PIX PHB SYS SYS PHB PHB
    GPU7 SYS SYS SYS SYS PHB PHB PHB PIX SYS SYS PHB PHB

    mlx5_0  X   PHB PHB PHB SYS SYS SYS SYS PHB PHB SYS SYS
    mlx5_1  PHB X   PHB PHB SYS SYS SYS SYS PHB PHB SYS SYS
    mlx5_2  PHB PHB X   PHB SYS SYS SYS SYS PHB PHB SYS SYS
    mlx5_3  PHB PHB PHB X   SYS SYS SYS SYS PHB PHB SYS SYS
    mlx5_4  SYS SYS SYS SYS X   PHB PHB PHB SYS SYS PHB PHB
    mlx5_5  SYS SYS SYS SYS PHB X   PHB PHB SYS SYS PHB PHB
    mlx5_6  SYS SYS SYS SYS PHB PHB X   PHB SYS SYS PHB PHB
    mlx5_7  SYS SYS SYS SYS PHB PHB PHB X   SYS SYS PHB PHB
    mlx5_8  PHB PHB PHB PHB SYS SYS SYS SYS X   PIX SYS SYS
    mlx5_9  PHB PHB PHB PHB SYS SYS SYS SYS PIX X   SYS SYS
    mlx5_10 SYS SYS SYS SYS PHB PHB PHB PHB SYS SYS X   PIX
    mlx5_11 SYS SYS SYS SYS PHB PHB PHB PHB SYS SYS PIX X)");
  for (const char* name : {"dgx-h100", "hgx-h200", "hgx-b200", "hgx-b300"})
    EXPECT_EQ(matrixText(preset(name)), expected) << name;
}

// Groups of two GPUs and two NICs on NUMA nodes 3, 1, 7 and 5; storage on 0 and 4.
TEST(Presets, DgxA100Matrix) {
  EXPECT_EQ(matrixText(preset("dgx-a100")), table(R"(
    GPU0 X    NV12 NV12 NV12 NV12 NV12 NV12 NV12
    GPU1 NV12 X    NV12 NV12 NV12 NV12 NV12 NV12
    GPU2 NV12 NV12 X    NV12 NV12 NV12 NV12 NV12
    GPU3 NV12 NV12 NV12 X    NV12 NV12 NV12 NV12
    GPU4 NV12 NV12 NV12 NV12 X    NV12 NV12 NV12
    GPU5 NV12 NV12 NV12 NV12 NV12 X    NV12 NV12
    GPU6 NV12 NV12 NV12 NV12 NV12 NV12 X    NV12
    GPU7 NV12 NV12 NV12 NV12 NV12 NV12 NV12 X

    GPU0 PIX PIX SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS
    GPU1 PIX PIX SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS
    GPU2 SYS SYS PIX PIX SYS SYS SYS SYS SYS SYS SYS SYS
    GPU3 SYS SYS PIX PIX SYS SYS SYS SYS SYS SYS SYS SYS
    GPU4 SYS SYS SYS SYS PIX PIX SYS SYS SYS SYS SYS SYS
    GPU5 SYS SYS SYS SYS PIX PIX SYS SYS SYS SYS SYS SYS
    GPU6 SYS SYS SYS SYS SYS SYS PIX PIX SYS SYS SYS SYS
    GPU7 SYS SYS SYS SYS SYS SYS PIX PIX SYS SYS SYS SYS

    mlx5_0  X   PIX SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS
    mlx5_1  PIX X   SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS
    mlx5_2  SYS SYS X   PIX SYS SYS SYS SYS SYS SYS SYS SYS
    mlx5_3  SYS SYS PIX X   SYS SYS SYS SYS SYS SYS SYS SYS
    mlx5_4  SYS SYS SYS SYS X   PIX SYS SYS SYS SYS SYS SYS
    mlx5_5  SYS SYS SYS SYS PIX X   SYS SYS SYS SYS SYS SYS
    mlx5_6  SYS SYS SYS SYS SYS SYS X   PIX SYS SYS SYS SYS
    mlx5_7  SYS SYS SYS SYS SYS SYS PIX X   SYS SYS SYS SYS
    mlx5_8  SYS SYS SYS SYS SYS SYS SYS SYS X   PIX SYS SYS
    mlx5_9  SYS SYS SYS SYS SYS SYS SYS SYS PIX X   SYS SYS
    mlx5_10 SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS X   PIX
    mlx5_11 SYS SYS SYS SYS SYS SYS SYS SYS SYS SYS PIX X)"));
}

TEST(Presets, PcieMatrix) {
  EXPECT_EQ(matrixText(preset("pcie-x8")), table(R"(
    GPU0 X   PIX PHB PHB SYS SYS SYS SYS
    GPU1 PIX X   PHB PHB SYS SYS SYS SYS
    GPU2 PHB PHB X   PIX SYS SYS SYS SYS
    GPU3 PHB PHB PIX X   SYS SYS SYS SYS
    GPU4 SYS SYS SYS SYS X   PIX PHB PHB
    GPU5 SYS SYS SYS SYS PIX X   PHB PHB
    GPU6 SYS SYS SYS SYS PHB PHB X   PIX
    GPU7 SYS SYS SYS SYS PHB PHB PIX X

    GPU0 PIX PHB SYS SYS PHB
    GPU1 PIX PHB SYS SYS PHB
    GPU2 PHB PIX SYS SYS PHB
    GPU3 PHB PIX SYS SYS PHB
    GPU4 SYS SYS PIX PHB SYS
    GPU5 SYS SYS PIX PHB SYS
    GPU6 SYS SYS PHB PIX SYS
    GPU7 SYS SYS PHB PIX SYS

    mlx5_0 X   PHB SYS SYS PHB
    mlx5_1 PHB X   SYS SYS PHB
    mlx5_2 SYS SYS X   PHB SYS
    mlx5_3 SYS SYS PHB X   SYS
    mlx5_4 PHB PHB SYS SYS X)"));
}

TEST(Presets, Nvl72LinksEveryGpuToEveryOther) {
  const Graph graph = preset("gb200-nvl72");
  for (const NodeId a : graph.ofKind(NodeKind::gpu))
    for (const NodeId b : graph.ofKind(NodeKind::gpu))
      ASSERT_EQ(cellText(findPath(graph, a, b)), a == b ? "X" : "NV18");
  const Path path = between(graph, "GPU0", "GPU71");
  ASSERT_EQ(path.steps.size(), 3U);
  EXPECT_EQ(path.steps[1], graph.ofKind(NodeKind::nvSwitch));
}

/// Rows are GPUs, columns NICs: by tray, and in a tray by Grace. Four ConnectX-7 of each tray come
/// before its two BlueField-3.
TEST(Presets, Nvl72ReachesNicsByChipToChipLinksAndTheNetwork) {
  const Graph graph = preset("gb200-nvl72");
  const std::vector<NodeId>& gpus = graph.ofKind(NodeKind::gpu);
  const std::vector<NodeId>& nics = graph.ofKind(NodeKind::nic);
  const int graceOfNic[] = {0, 0, 1, 1, 0, 1};
  for (std::size_t g = 0; g < gpus.size(); ++g)
    for (std::size_t n = 0; n < nics.size(); ++n) {
      const bool sameTray = g / 4 == n / 6;
      const bool sameGrace = static_cast<int>(g % 4 / 2) == graceOfNic[n % 6];
      ASSERT_EQ(cellText(findPath(graph, gpus[g], nics[n])), !sameTray   ? "NET"
                                                             : sameGrace ? "P2C"
                                                                         : "SYS")
          << graph.node(gpus[g]).name << " " << graph.node(nics[n]).name;
    }
}

/// Whoever pins ranks reads it. DGX H100's is that of the machine recorded in shared/topologies,
/// which has the same CPUs.
TEST(Presets, KnowWhichThreadsAreOnWhichNode) {
  const Inventory h100 = findPreset("dgx-h100").make();
  EXPECT_EQ(h100.cpus[0].affinity,
            "00000000,000000ff,ffffffff,ffff0000,00000000,00ffffff,ffffffff");
  EXPECT_EQ(h100.cpus[1].affinity,
            "ffffffff,ffffff00,00000000,0000ffff,ffffffff,ff000000,00000000");
  const Inventory a100 = findPreset("dgx-a100").make();
  EXPECT_EQ(a100.cpus[1].affinity,
            "00000000,00000000,00000000,ffff0000,00000000,00000000,00000000,ffff0000");
  EXPECT_EQ(a100.cpus[3].package, 0);
  EXPECT_EQ(a100.cpus[4].package, 1);
}

TEST(ThreadMask, IsWrittenAsTheKernelDoes) {
  EXPECT_EQ(threadMask({}), "");
  EXPECT_EQ(threadMask({true}), "00000001");
  EXPECT_EQ(threadMask(std::vector<bool>(32, true)), "ffffffff");
  std::vector<bool> last(33);
  last[32] = true;
  EXPECT_EQ(threadMask(last), "00000001,00000000");
}

}  // namespace
}  // namespace lockstep::topology
