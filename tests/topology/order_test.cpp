// The same machine has the same answers: each time, and in whatever order its source tells it.
#include <algorithm>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "topology/graph/path.hpp"
#include "topology/machine_files.hpp"
#include "topology/presets/preset.hpp"
#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"
#include "topology/writers/matrix.hpp"

namespace lockstep::topology {
namespace {

/// Old rows in a new order.
using Order = std::vector<std::size_t>;

Order shuffled(std::size_t rows, std::mt19937& random) {
  Order order(rows);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

/// With parents before their children.
Order parentsFirst(const Inventory& machine, const Order& wanted) {
  Order order;
  std::vector<bool> done(machine.pci.size());
  for (const std::size_t row : wanted) {
    Order chain;
    for (int at = static_cast<int>(row); at != kNone && !done[static_cast<std::size_t>(at)];
         at = machine.pci[static_cast<std::size_t>(at)].parent)
      chain.push_back(static_cast<std::size_t>(at));
    for (auto each = chain.rbegin(); each != chain.rend(); ++each) {
      order.push_back(*each);
      done[*each] = true;
    }
  }
  return order;
}

template <class Row>
std::vector<int> reorder(std::vector<Row>& rows, const Order& order) {
  std::vector<Row> moved;
  std::vector<int> place(rows.size());
  for (const std::size_t row : order) {
    place[row] = static_cast<int>(moved.size());
    moved.push_back(rows[row]);
  }
  rows = std::move(moved);
  return place;
}

void follow(int& row, const std::vector<int>& place) {
  if (row != kNone) row = place[static_cast<std::size_t>(row)];
}

/// All but CPUs, whose order says which is which.
Inventory inAnyOrder(Inventory machine, unsigned seed) {
  std::mt19937 random(seed);
  const Order devices = parentsFirst(machine, shuffled(machine.pci.size(), random));
  const std::vector<int> pci = reorder(machine.pci, devices);
  for (PciDevice& device : machine.pci) follow(device.parent, pci);
  for (Gpu& gpu : machine.gpus) follow(gpu.pci, pci);
  for (Nic& nic : machine.nics) follow(nic.pci, pci);
  const std::vector<int> gpus = reorder(machine.gpus, shuffled(machine.gpus.size(), random));
  for (Gpu& gpu : machine.gpus) {
    for (PeerAccess& peer : gpu.peers) follow(peer.gpu, gpus);
    reorder(gpu.links, shuffled(gpu.links.size(), random));
  }
  reorder(machine.nics, shuffled(machine.nics.size(), random));
  return machine;
}

/// What a machine is asked.
std::string answersOf(const Inventory& machine) {
  const Graph graph(machine);
  std::string text = writeMatrix(graph);
  for (const bool withNics : {false, true}) {
    const Rings rings = findRings(graph, {.withNics = withNics});
    text += print(graph, rings) + print(graph, findTrees(graph, rings));
  }
  return text;
}

/// Machines of one host, whose GPUs and NICs have numbers of their own.
std::vector<Inventory> numberedMachines() {
  std::vector<Inventory> machines;
  for (const std::string file :
       {"dgx1-v100.xml", "dgx-a100.xml", "asymmetric-nvlinks.xml", "nic-on-wrong-numa.xml"})
    machines.push_back(readTopologyFile(writtenFile(file)).inventory);
  for (const std::string name : {"dgx-h100", "hgx-b200", "pcie-x8"})
    machines.push_back(findPreset(name).make());
  for (Inventory& machine : machines) {
    int number = 0;
    for (Gpu& gpu : machine.gpus) gpu.device = number++;
    number = 0;
    for (Nic& nic : machine.nics) nic.device = number++;
  }
  return machines;
}

TEST(Order, TheSameMachineHasTheSameAnswersEachTime) {
  const Inventory machine = findPreset("dgx-h100").make();
  const std::string answers = answersOf(machine);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(answersOf(machine), answers) << i;
}

TEST(Order, OfRowsChangesNoAnswer) {
  for (const Inventory& machine : numberedMachines()) {
    SCOPED_TRACE(machine.source);
    const std::string answers = answersOf(machine);
    for (unsigned seed = 1; seed <= 5; ++seed) {
      SCOPED_TRACE(seed);
      EXPECT_EQ(answersOf(inAnyOrder(machine, seed)), answers);
    }
  }
}

}  // namespace
}  // namespace lockstep::topology
