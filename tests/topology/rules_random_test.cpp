// Whatever an inventory says, as long as it is sound: rules answer, and in whole sentences.
#include <random>

#include <gtest/gtest.h>

#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

class RandomInventory {
 public:
  explicit RandomInventory(unsigned seed) : random_(seed) {}

  Inventory make() {
    for (int i = upTo(4); i > 0; --i) addCpu();
    for (int i = upTo(24); i > 0; --i) addPci();
    if (!inventory_.pci.empty())
      for (int i = upTo(10); i > 0; --i) addGpu();
    for (Gpu& gpu : inventory_.gpus) addLinksAndPeers(gpu);
    for (int i = upTo(8); i > 0; --i) addNic();
    inventory_.version = 1 + upTo(1);
    if (coin()) inventory_.source = "this machine";
    if (coin()) inventory_.driver.confidential = confidential();
    if (coin()) inventory_.driver.lost = {{.number = upTo(9), .id = {}, .reason = "lost"}};
    return inventory_;
  }

 private:
  int upTo(int most) { return std::uniform_int_distribution<int>(0, most)(random_); }
  bool coin() { return upTo(1) == 1; }
  int row(std::size_t count) { return upTo(static_cast<int>(count)) - 1; }
  template <class T>
  T oneOf(std::initializer_list<T> choices) {
    return choices.begin()[upTo(static_cast<int>(choices.size()) - 1)];
  }

  void addCpu() {
    Cpu cpu;
    cpu.host = oneOf<const char*>({"", "a", "b"});
    cpu.numa = upTo(3) - 1;
    cpu.package = upTo(2) - 1;
    inventory_.cpus.push_back(cpu);
  }

  PcieLink link() {
    return {TransferRate::gigatransfers(oneOf({0.0, 2.5, 8.0, 32.0, 3.7, -1.0})),
            oneOf({0, 1, 8, 16, -4, 1 << 30})};
  }

  void addPci() {
    PciDevice device;
    device.id.bus = static_cast<std::uint8_t>(upTo(30));
    device.cpu = row(inventory_.cpus.size());
    device.parent = coin() ? row(inventory_.pci.size()) : kNone;
    device.classCode = oneOf({pci_class::kBridge, pci_class::k3d, pci_class::kNvSwitch,
                              pci_class::kInfiniband, pci_class::kAccelerator, 0U});
    if (coin()) device.vendor = oneOf<std::uint16_t>({0x10de, 0x1002, 0x15b3});
    if (coin()) device.device = static_cast<std::uint16_t>(upTo(2));
    device.link = link();
    device.capable = link();
    inventory_.pci.push_back(device);
  }

  void addGpu() {
    Gpu gpu;
    gpu.pci = upTo(static_cast<int>(inventory_.pci.size()) - 1);
    gpu.device = upTo(9) - 1;
    gpu.sm = oneOf({0, 70, 90, 304, -1});
    for (int i = upTo(3); i > 1; --i) gpu.deadLinks.push_back(upTo(17));
    if (coin()) {
      FabricState fabric;
      fabric.state = static_cast<FabricState::State>(upTo(3));
      fabric.status = oneOf({0U, 15U, 77U});
      fabric.clique = static_cast<std::uint32_t>(upTo(1));
      if (coin()) fabric.health = static_cast<std::uint32_t>(random_());
      gpu.fabric = fabric;
    }
    inventory_.gpus.push_back(gpu);
  }

  BusId anyBus() {
    BusId id =
        inventory_.pci[static_cast<std::size_t>(upTo(static_cast<int>(inventory_.pci.size()) - 1))]
            .id;
    return oneOf<BusId>({id, id, id, kInvisibleSwitch, BusId{.domain = 0xabcd}});
  }

  void addLinksAndPeers(Gpu& gpu) {
    for (int i = upTo(6); i > 0; --i) {
      GpuLinks links;
      links.kind = oneOf({GpuLinkKind::nvlink, GpuLinkKind::nvlink, GpuLinkKind::xgmi});
      links.target = anyBus();
      links.count = oneOf({0, 1, 2, 4, 5, -3, 1000000});
      links.targetClass = oneOf({pci_class::kNvSwitch, pci_class::k3d, pci_class::kCpu, 0U});
      gpu.links.push_back(links);
    }
    for (int i = upTo(4); i > 0; --i) {
      const int other = upTo(static_cast<int>(inventory_.gpus.size()) - 1);
      gpu.peers.push_back({other, coin(), oneOf<const char*>({"", "no", "{}"})});
    }
  }

  void addNic() {
    Nic nic;
    nic.pci = row(inventory_.pci.size());
    nic.cpu = row(inventory_.cpus.size());
    nic.name = oneOf<const char*>({"", "mlx5_0", "mlx5_99999999999999999999999999", "{}"});
    nic.port = upTo(2);
    nic.speed = Bandwidth::megabitsPerSecond(oneOf({0.0, 1000.0, 400000.0, -1.0}));
    if (coin()) nic.up = coin();
    inventory_.nics.push_back(nic);
  }

  ConfidentialComputing confidential() {
    return {.feature = coin(),
            .multiGpu = static_cast<ConfidentialComputing::MultiGpu>(upTo(2)),
            .multiGpuKnown = coin(),
            .production = coin(),
            .devTools = coin()};
  }

  std::mt19937 random_;
  Inventory inventory_;
};

TEST(RandomMachines, AreDiagnosedInWholeSentences) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    const Graph graph(RandomInventory(seed).make());
    std::vector<Problem> problems;
    ASSERT_NO_THROW(problems = diagnose(graph));
    Severity last = Severity::error;
    for (const Problem& problem : problems) {
      EXPECT_FALSE(problem.rule.empty());
      EXPECT_FALSE(problem.subject.empty()) << problem.rule << " " << problem.what;
      EXPECT_FALSE(problem.what.empty()) << problem.rule;
      EXPECT_FALSE(problem.advice.empty()) << problem.rule;
      EXPECT_LE(problem.severity, last) << problem.rule;
      last = problem.severity;
    }
  }
}

TEST(RandomMachines, AreDiagnosedTheSameTwice) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    const auto texts = [&] {
      std::string all;
      for (const Problem& problem : diagnose(Graph(RandomInventory(seed).make())))
        all += problem.subject + " " + problem.what + "\n";
      return all;
    };
    EXPECT_EQ(texts(), texts()) << seed;
  }
}

}  // namespace
}  // namespace lockstep::topology
