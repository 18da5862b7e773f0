// The matrix of `nvidia-smi topo -m`: read, and found again in the graph that it becomes.
#include <algorithm>
#include <random>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fuzz/smi_matrix_target.hpp"
#include "topology/graph/path.hpp"
#include "topology/readers/smi/threads.hpp"

namespace lockstep::topology {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;

//  NUMA 0: switch - GPU0, mlx5_0; switch - GPU1, mlx5_1     NUMA 1: the same with GPU2, GPU3,
//  mlx5_2, and mlx5_3 at the CPU; all GPUs behind NVSwitches.  As the tool prints it: the header
//  underlined, tabs that do not line up, and affinities that NICs do not have.
constexpr const char* kSwitched =
    "\033[4m\tGPU0\tGPU1\tGPU2\tGPU3\tNIC0\tNIC1\tNIC2\tNIC3\tCPU Affinity\tNUMA Affinity"
    "\tGPU NUMA ID\033[0m\n"
    "GPU0\t X \tNV18\tNV18\tNV18\tPIX\tNODE\tSYS\tSYS\t0-7,16-23\t0\t\tN/A\n"
    "GPU1\tNV18\t X \tNV18\tNV18\tNODE\tPIX\tSYS\tSYS\t0-7,16-23\t0\t\tN/A\n"
    "GPU2\tNV18\tNV18\t X \tNV18\tSYS\tSYS\tPIX\tNODE\t8-15,24-31\t1\t\tN/A\n"
    "GPU3\tNV18\tNV18\tNV18\t X \tSYS\tSYS\tNODE\tNODE\t8-15,24-31\t1\t\tN/A\n"
    "NIC0\tPIX\tNODE\tSYS\tSYS\t X \tNODE\tSYS\tSYS\t\t\t\t\n"
    "NIC1\tNODE\tPIX\tSYS\tSYS\tNODE\t X \tSYS\tSYS\t\t\t\t\n"
    "NIC2\tSYS\tSYS\tPIX\tNODE\tSYS\tSYS\t X \tNODE\t\t\t\t\n"
    "NIC3\tSYS\tSYS\tNODE\tNODE\tSYS\tSYS\tNODE\t X \t\t\t\t\n"
    "\n"
    "Legend:\n"
    "\n"
    "  X    = Self\n"
    "  NV#  = a number of NVLinks side by side\n"
    "\n"
    "NIC Legend:\n"
    "\n"
    "  NIC0: mlx5_0\n"
    "  NIC1: mlx5_1\n"
    "  NIC2: mlx5_2\n"
    "  NIC3: mlx5_bond_0\n";

//  An older driver: NICs by name, SOC for SYS, no NUMA numbers, blanks, a prompt before it.
//  NUMA A: GPU0 = GPU1 (NV4) below one switch with mlx5_0        NUMA B: GPU2 = GPU3 (NV4)
constexpr const char* kPairs = R"($ nvidia-smi topo -m
        GPU0    GPU1    GPU2    GPU3    mlx5_0  CPU Affinity
GPU0     X      NV4     SOC     SOC     PIX     0-9
GPU1    NV4      X      SOC     SOC     PIX     0-9
GPU2    SOC     SOC      X      NV4     SOC     10-19
GPU3    SOC     SOC     NV4      X      SOC     10-19
mlx5_0  PIX     PIX     SOC     SOC      X

Legend:
  X    = Self
)";

//  One NUMA node: (GPU0, GPU1) and (GPU2, NIC0) below switches that share one; GPU3 apart.
constexpr const char* kNested = R"(      GPU0 GPU1 GPU2 GPU3 NIC0 CPU Affinity NUMA Affinity
GPU0   X   PIX  PXB  PHB  PXB  0-15         0
GPU1  PIX   X   PXB  PHB  PXB  0-15         0
GPU2  PXB  PXB   X   PHB  PIX  0-15         0
GPU3  PHB  PHB  PHB   X   PHB  0-15         0
NIC0  PXB  PXB  PIX  PHB   X
)";

//  Four GPUs, each linked to the three others by 6 NVLinks: 18, as many as one has.
constexpr const char* kMesh = R"(     GPU0 GPU1 GPU2 GPU3 CPU Affinity NUMA Affinity GPU NUMA ID
GPU0  X   NV6  NV6  NV6  0-71         0             4
GPU1 NV6   X   NV6  NV6  72-143       1             12
GPU2 NV6  NV6   X   NV6  144-215      2             20
GPU3 NV6  NV6  NV6   X   216-287      3             28
)";

//  Cells say SYS, affinities NUMA node 0: what some hypervisors show.
constexpr const char* kOneNodeApart = R"(     GPU0 GPU1 NIC0 CPU Affinity NUMA Affinity
GPU0  X   SYS  PIX  0-31  0
GPU1 SYS   X   SYS  0-31  0
NIC0 PIX  SYS   X
)";

Reading read(std::string_view text) {
  return readTopology(text, "topo.txt");
}

std::string errorOf(std::string_view text) {
  try {
    read(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
    return error.what();
  }
  return "no error";
}

NodeId named(const Graph& graph, const std::string& name) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id)
    if (graph.node(id).name == name) return id;
  ADD_FAILURE() << "no " << name;
  return 0;
}

/// The cell that nvidia-smi would print, but PHB for NODE too.
std::string cellOf(const Graph& graph, NodeId a, NodeId b) {
  if (a == b) return "X";
  const Path path = findPath(graph, a, b, {.throughGpus = false});
  return path.type == PathType::nvl ? fmt::format("NV{}", path.links)
                                    : std::string(name(path.type));
}

/// The cells of the text, as they stand there.
std::vector<std::vector<std::string>> cellsOf(const std::string& text, std::size_t devices) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; rows.size() < devices && std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::vector<std::string> row;
    words >> word;
    while (row.size() < devices && words >> word) {
      if (word == "NODE") word = "PHB";
      if (word == "SOC") word = "SYS";
      row.push_back(word);
    }
    if (std::find(row.begin(), row.end(), "X") != row.end()) rows.push_back(row);
  }
  return rows;
}

void expectSameMatrix(const char* text, const std::vector<std::string>& names) {
  const Graph graph(read(text).inventory);
  std::vector<std::vector<std::string>> found;
  for (const std::string& a : names) {
    found.emplace_back();
    for (const std::string& b : names)
      found.back().push_back(cellOf(graph, named(graph, a), named(graph, b)));
  }
  EXPECT_EQ(found, cellsOf(text, names.size()));
  EXPECT_TRUE(graph.remarks().empty());
}

TEST(SmiMatrix, BecomesAMachineWithTheSameMatrix) {
  expectSameMatrix(kSwitched,
                   {"GPU0", "GPU1", "GPU2", "GPU3", "mlx5_0", "mlx5_1", "mlx5_2", "mlx5_bond_0"});
  expectSameMatrix(kPairs, {"GPU0", "GPU1", "GPU2", "GPU3", "mlx5_0"});
  expectSameMatrix(kNested, {"GPU0", "GPU1", "GPU2", "GPU3", "NIC0"});
  expectSameMatrix(kMesh, {"GPU0", "GPU1", "GPU2", "GPU3"});
  expectSameMatrix(kOneNodeApart, {"GPU0", "GPU1", "NIC0"});
}

TEST(SmiMatrix, KeepsWhatAffinitiesSay) {
  const Inventory machine = read(kSwitched).inventory;
  ASSERT_EQ(machine.cpus.size(), 2U);
  EXPECT_EQ(machine.cpus[0].numa, 0);
  EXPECT_EQ(machine.cpus[0].affinity, "00ff00ff");
  EXPECT_EQ(machine.cpus[1].affinity, "ff00ff00");
  const Inventory mesh = read(kMesh).inventory;
  ASSERT_EQ(mesh.cpus.size(), 4U);
  EXPECT_EQ(mesh.gpus[1].other, (Attributes{{"gpu_numa_id", "12"}}));
}

TEST(SmiMatrix, SeesNvSwitchesWhereDirectLinksCannotBe) {
  const Graph switched(read(kSwitched).inventory);
  EXPECT_EQ(switched.ofKind(NodeKind::nvSwitch).size(), 1U);
  EXPECT_EQ(switched.node(switched.ofKind(NodeKind::nvSwitch)[0]).bus, kInvisibleSwitch);
  EXPECT_TRUE(Graph(read(kMesh).inventory).ofKind(NodeKind::nvSwitch).empty());
  EXPECT_TRUE(Graph(read(kPairs).inventory).ofKind(NodeKind::nvSwitch).empty());
}

TEST(SmiMatrix, TellsAGpuWithFewerLinksBehindNvSwitches) {
  const char* text = R"(     GPU0 GPU1 GPU2 GPU3 CPU Affinity NUMA Affinity
GPU0  X   NV18 NV17 NV18 0-7 0
GPU1 NV18  X   NV17 NV18 0-7 0
GPU2 NV17 NV17  X   NV17 0-7 0
GPU3 NV18 NV18 NV17  X   0-7 0
)";
  expectSameMatrix(text, {"GPU0", "GPU1", "GPU2", "GPU3"});
  const Inventory machine = read(text).inventory;
  EXPECT_EQ(machine.gpus[2].links[0].count, 17);
  EXPECT_EQ(machine.gpus[3].links[0].count, 18);
}

//  Two boards of three GPUs, with switches of their own.
TEST(SmiMatrix, KeepsBoardsOfNvSwitchesApart) {
  std::string text = "GPU0 GPU1 GPU2 GPU3 GPU4 GPU5 CPU Affinity NUMA Affinity\n";
  for (int a = 0; a < 6; ++a) {
    text += fmt::format("GPU{}", a);
    for (int b = 0; b < 6; ++b) text += a == b ? " X" : a / 3 == b / 3 ? " NV12" : " SYS";
    text += fmt::format(" {} {}\n", a / 3, a / 3);
  }
  expectSameMatrix(text.c_str(), {"GPU0", "GPU1", "GPU2", "GPU3", "GPU4", "GPU5"});
  EXPECT_THAT(read(text).remarks, Contains(Field(&Remark::text, HasSubstr("2 groups of GPUs"))));
}

TEST(SmiMatrix, TakesNoBusIdThatCouldBeReal) {
  const Reading reading = read(kSwitched);
  for (const PciDevice& device : reading.inventory.pci)
    EXPECT_EQ(device.id.domain, smi::kMadeUpDomain);
  EXPECT_THAT(reading.remarks,
              Contains(AllOf(Field(&Remark::text, HasSubstr("made up")), Field(&Remark::line, 0))));
}

TEST(SmiMatrix, SaysWhereRelationsContradictEachOther) {
  const Reading reading = read(R"(     GPU0 GPU1 GPU2 CPU Affinity
GPU0  X   PIX  SYS  0-7
GPU1 PIX   X   PIX  0-7
GPU2 SYS  PIX   X   0-7
)");
  EXPECT_THAT(reading.remarks,
              Contains(Field(&Remark::text, AllOf(HasSubstr("GPU0 to GPU2 is SYS"),
                                                  HasSubstr("PIX; taken for that")))));
  const Graph graph(reading.inventory);
  EXPECT_EQ(findPath(graph, named(graph, "GPU0"), named(graph, "GPU2")).type, PathType::pix);
}

TEST(SmiMatrix, PutsNoGpuWhereNothingSaysItIs) {
  const Inventory machine = read(R"(     GPU0 GPU1 GPU2 CPU Affinity
GPU0  X   NV2  NV2
GPU1 NV2   X   NV2
GPU2 NV2  NV2   X
)")
                                .inventory;
  EXPECT_TRUE(machine.cpus.empty());
  for (const PciDevice& device : machine.pci) EXPECT_EQ(device.cpu, kNone);
}

TEST(SmiMatrix, ReadsASingleGpu) {
  const Inventory machine = read("\tGPU0\tCPU Affinity\nGPU0\t X \t0-7\n").inventory;
  ASSERT_EQ(machine.gpus.size(), 1U);
  EXPECT_EQ(machine.cpus.size(), 1U);
}

TEST(SmiMatrix, ReadsWhatThisProjectPrints) {
  const Graph graph(read(kSwitched).inventory);
  const std::string printed = writeMatrix(graph);
  EXPECT_EQ(writeMatrix(Graph(read(printed).inventory)), printed);
}

TEST(SmiMatrix, SaysWhatIsWrongAndWhere) {
  const std::string two = "GPU0 GPU1 CPU Affinity\n";
  const std::pair<std::string, const char*> cases[] = {
      {two + "GPU0 X NV2 0-1\nGPU1 NV1 X 0-1\n", "topo.txt:3: GPU1 to GPU0 is 'NV1'"},
      {two + "GPU0 X NVX 0-1\n", "topo.txt:2: GPU0 to GPU1: 'NVX'; expected X, NV#"},
      {two + "GPU0 X OK 0-1\n", "topo.txt:2: GPU0 to GPU1: 'OK'; expected X, NV#"},
      {two + "GPU0 X NV-4 0-1\n", "'NV-4'; expected"},
      {two + "GPU0 X NV99999999999 0-1\n", "expected X, NV#"},
      {two + "GPU0 SYS SYS 0-1\n", "topo.txt:2: GPU0 to GPU0: 'SYS'; expected X"},
      {two + "GPU0 X X 0-1\n", "GPU0 to GPU1: 'X'; expected X for a device and itself only"},
      {two + "GPU0 X\n", "topo.txt:2: the row of GPU0 has 1 cells; expected 2"},
      {two + "GPU0 X SYS 0-1\n", "topo.txt:2: the text ends where the row of GPU1 is expected"},
      {two + "GPU0 X SYS 0-1\nLegend:\n", "topo.txt:3: the row of GPU1 is expected here"},
      {two + "GPU0 X SYS 0-1 0 N/A\n", "topo.txt:2: the row of GPU0 goes on after its 2 cells"},
      {"GPU0 GPU0 CPU Affinity\n", "topo.txt:1: two columns are named GPU0"},
      {"GPU0 CPU Affinity Colour\n", "topo.txt:1: column 'Colour' after the devices"},
      {"GPU0 Affinity\nGPU0 X\n", "topo.txt:2: the row of GPU0 has 1 cells; expected 2"},
      {"GPU0 NIC0 CPU Affinity\nGPU0 X NV2 0\nNIC0 NV2 X\n", "links are between GPUs"},
      {"GPU0 \xff\xfe CPU Affinity\n", "topo.txt:1: '?\?' is no device"},
  };
  for (const auto& [text, says] : cases) EXPECT_THAT(errorOf(text), HasSubstr(says)) << text;
}

TEST(SmiMatrix, RefusesMoreColumnsThanAnyMachineHas) {
  std::string text;
  for (int i = 0; i < 1100; ++i) text += fmt::format("GPU{} ", i);
  EXPECT_THAT(errorOf(text + "\nGPU0 X\n"), HasSubstr("more than 1024 columns"));
}

/// As many devices as there may be, no two alike: it must not take long.
TEST(SmiMatrix, ReadsTheLargestMatrix) {
  const std::size_t size = smi::kMostColumns;
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += fmt::format("GPU{} ", i);
  text += "CPU Affinity\n";
  for (std::size_t a = 0; a < size; ++a) {
    text += fmt::format("GPU{}", a);
    for (std::size_t b = 0; b < size; ++b)
      text += a == b ? " X" : (a + b) % 7 == 0 ? " PIX" : " SYS";
    text += " 0\n";
  }
  const Reading reading = read(text);
  EXPECT_EQ(reading.inventory.gpus.size(), size);
  ASSERT_EQ(reading.remarks.size(), kMostRemarks);
  EXPECT_THAT(reading.remarks.back().text, HasSubstr("remarks more"));
}

TEST(SmiMatrix, IsNotTakenForWhatItIsNot) {
  for (const char* text : {"", "GPU0", "GPU0 is here\nand more\n", "<system/>", "{\"GPU0\": 1}",
                           "NIC0 CPU Affinity\nNIC0 X\n", "\n\n\n"})
    EXPECT_FALSE(smi::looksLikeMatrix(text)) << text;
  for (const char* text : {kSwitched, kPairs, kNested, kMesh})
    EXPECT_TRUE(smi::looksLikeMatrix(text)) << text;
}

TEST(SmiMatrix, MakesMasksOfLists) {
  EXPECT_EQ(smi::threadMask("0-3,8"), "0000010f");
  EXPECT_EQ(smi::threadMask("32"), "00000001,00000000");
  for (const char* wrong :
       {"", "N/A", "3-1", "1-", "-1", "0,,1", "0-99999999", "1;2", "99999999999"})
    EXPECT_EQ(smi::threadMask(wrong), "") << wrong;
}

/// Texts with some bytes replaced, removed, doubled: the fuzzer's target, for a moment.
TEST(SmiMatrix, SurvivesDamage) {
  std::mt19937 random(4);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string_view pieces[] = {"\t",  "\n",  " X ",  "PIX",   "PXB",
                                     "SYS", "NV9", "GPU1", "\033[", "0"};
  for (const std::string_view original : {kSwitched, kPairs, kNested, kMesh, kOneNodeApart})
    for (int round = 0; round < 400; ++round) {
      std::string text(original);
      for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
        const std::size_t at = below(text.size());
        const std::string_view piece = pieces[below(std::size(pieces))];
        if (below(3) == 0)
          text.erase(at, below(8));
        else if (below(2) == 0)
          text.insert(at, piece);
        else
          text.replace(at, std::min(piece.size(), text.size() - at), piece);
      }
      fuzz::smiMatrix(text);
      fuzz::smiMatrix(std::string_view(text).substr(0, below(text.size())));
    }
}

}  // namespace
}  // namespace lockstep::topology
