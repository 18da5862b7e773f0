// Machines of an enemy, from bytes to every answer: nothing crashes, nothing takes forever, and no
// terminal obeys a name.
#include <chrono>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fuzz/topology_target.hpp"
#include "topology/drawn_machines.hpp"
#include "topology/machine_files.hpp"
#include "topology/mutator.hpp"
#include "topology/shared_machines.hpp"

namespace lockstep::topology {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Mutations of a text; most are read.
void survives(const std::string& text, unsigned firstSeed, unsigned count) {
  for (unsigned seed = firstSeed; seed < firstSeed + count; ++seed) {
    SCOPED_TRACE(seed);
    fuzz::topologyText(Mutator(seed).mutated(text));
  }
}

TEST(EndToEndHostile, MutationsOfWrittenMachines) {
  unsigned seed = 1;
  for (const auto& entry : std::filesystem::directory_iterator(writtenFile(""))) {
    if (entry.path().extension() != ".xml") continue;
    const std::string text = contentsOf(entry.path());
    EXPECT_TRUE(fuzz::topologyText(text)) << entry.path();
    survives(text, seed += 1000, 80);
  }
}

TEST(EndToEndHostile, MutationsOfPresets) {
  unsigned seed = 100'000;
  for (const Preset* preset : allPresets()) {
    const Inventory machine = preset->make();
    if (machine.gpus.size() > 16) continue;  // the same at greater length
    const std::string text = writeNcclXml(machine);
    EXPECT_TRUE(fuzz::topologyText(text)) << preset->name;
    survives(text, seed += 1000, 40);
  }
}

TEST(EndToEndHostile, MutationsOfAPrintedMatrix) {
  const std::string text = writeMatrix(Graph(findPreset("dgx-h100").make()));
  EXPECT_TRUE(fuzz::topologyText(text));
  survives(text, 200'000, 200);
}

/// Clears the screen, twice over; sets the window's title; begins a line of its own; and turns what
/// follows from right to left.
constexpr std::string_view kEvil = "\x1b[2J\u009b2J\x1b]0;t\x07\nerror: forged\u202e\xff\x7f";

Inventory evilMachine() {
  Inventory machine;
  drawn::addCpu(machine, 0, std::string(kEvil));
  machine.cpus[0].model = kEvil;
  machine.cpus[0].affinity = kEvil;
  machine.source = kEvil;
  drawn::addGpu(machine, 0, kNone, 1);
  machine.pci[0].name = kEvil;
  drawn::addGpu(machine, 0, kNone, 2);
  drawn::addLinks(machine, 1, drawn::bus(0x77), 4, pci_class::k3d);
  drawn::addNic(machine, 0, kNone, 3, std::string(kEvil));
  return machine;
}

TEST(EndToEndHostile, NamesObeyNoTerminal) {
  const Graph graph(evilMachine());
  EXPECT_TRUE(fuzz::understood(evilMachine()));
  EXPECT_THAT(writeTree(graph), HasSubstr("\ufffd[2J\ufffd2J"));
  for (const std::string& text : {writeTree(graph), writeMatrix(graph)})
    EXPECT_THAT(text, Not(HasSubstr("\nerror: forged")));
  EXPECT_THAT(writeJson(graph), HasSubstr("\\u001b[2J\\u009b2J"));
}

TEST(EndToEndHostile, LongNamesAreCutWhereTheyAreShown) {
  Inventory machine = evilMachine();
  const std::string huge(1 << 20, 'x');
  machine.nics[0].name = machine.pci[0].name = machine.cpus[0].model = huge;
  machine.cpus[0].affinity = huge;
  const Graph graph(machine);
  EXPECT_LT(writeTree(graph).size(), 3000U);
  EXPECT_LT(writeMatrix(graph).size(), 3000U);
  EXPECT_EQ(graph.inventory().nics[0].name, huge);
}

TEST(EndToEndHostile, CountsThatNoIntHoldsDoNotOverflow) {
  Inventory machine = evilMachine();
  for (const int gpu : {0, 1}) {
    for (int i = 0; i < 3; ++i)
      drawn::addLinks(machine, gpu, machine.pci[gpu == 0 ? 1 : 0].id, 2'000'000'000,
                      pci_class::k3d);
  }
  const Graph graph(machine);
  const Link* link =
      graph.link(graph.ofKind(NodeKind::gpu)[0], graph.ofKind(NodeKind::gpu)[1], LinkKind::nvlink);
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->count, 2'147'483'647);
}

Inventory gpusOf(int count) {
  Inventory machine;
  drawn::addCpu(machine, 0);
  for (int i = 0; i < count; ++i) {
    drawn::addGpu(machine, 0, kNone, 0);
    machine.pci.back().id = {static_cast<std::uint32_t>(i), 1, 0, 0};
  }
  return machine;
}

/// How long `answer` takes, in seconds.
template <class Answer>
double secondsOf(Answer answer) {
  const auto begin = std::chrono::steady_clock::now();
  answer();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// A file may have 100,000 links. These took minutes when every link was looked for among all.
TEST(EndToEndHostile, ManyLinksAreAnsweredSoon) {
  constexpr int kGpus = 256, kSwitches = 200;
  Inventory switched = gpusOf(kGpus);
  for (int gpu = 0; gpu < kGpus; ++gpu)
    for (int chip = 0; chip < kSwitches; ++chip)
      drawn::addLinks(switched, gpu, {10'000U + static_cast<unsigned>(chip), 0, 0, 0}, 1,
                      pci_class::kNvSwitch);
  constexpr int kHalf = 110;  // each linked to all of the other half
  Inventory halves = gpusOf(2 * kHalf);
  for (int gpu = 0; gpu < 2 * kHalf; ++gpu)
    for (int peer = 0; peer < kHalf; ++peer)
      drawn::addLinks(halves, gpu,
                      {static_cast<unsigned>(gpu < kHalf ? kHalf + peer : peer), 1, 0, 0}, 1,
                      pci_class::k3d);
  for (const Inventory* machine : {&switched, &halves}) {
    const Graph graph(*machine);
    // At most 2 s each on a machine that has nothing else to do.
    EXPECT_LT(secondsOf([&] { writeMatrix(graph); }), 60);
    EXPECT_LT(secondsOf([&] { writeJson(graph); }), 60);
    EXPECT_LT(secondsOf([&] { print(graph, findRings(graph)); }), 60);
  }
}

TEST(EndToEndHostile, AbsurdMachinesAreNotSearched) {
  Inventory machine = gpusOf(200);
  for (int gpu = 0; gpu < 200; ++gpu)
    for (int chip = 0; chip < 101; ++chip)
      drawn::addLinks(machine, gpu, {10'000U + static_cast<unsigned>(chip), 0, 0, 0}, 1,
                      pci_class::kNvSwitch);
  EXPECT_EQ(findRings(Graph(machine)).reason,
            "20200 links of 200 GPUs to NVSwitches are too many to search");
  EXPECT_EQ(nlohmann::json::parse(writeJson(Graph(machine)))["pathsLeftOut"],
            "NVSwitches and GPUs are joined 20200 times; paths are told with 8192 at most");
  Inventory nics = gpusOf(200);
  for (int i = 0; i < 101; ++i) drawn::addNic(nics, 0, kNone, i, fmt::format("n{}", i));
  EXPECT_EQ(findRings(Graph(nics), {.withNics = true}).reason,
            "200 GPUs with 101 NICs are too many to search");
}

}  // namespace
}  // namespace lockstep::topology
