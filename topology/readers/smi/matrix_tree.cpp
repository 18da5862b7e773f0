#include "topology/readers/smi/matrix_tree.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "topology/readers/smi/nearness.hpp"
#include "topology/readers/smi/threads.hpp"

namespace lockstep::topology::smi {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;
/// "Other network controller": whether it is Ethernet or InfiniBand is not in the text.
constexpr std::uint32_t kSomeNic = 0x028000;
/// More NVLinks than this no GPU has.
constexpr int kMostNvlinks = 18;

class TreeBuilder {
 public:
  TreeBuilder(const Matrix& matrix, xml::Report& report)
      : matrix_(matrix),
        report_(report),
        size_(matrix.devices.size()),
        nearness_(nearnessOf(matrix, report)) {}

  Inventory build() {
    addCpus();
    for (std::size_t i = 0; i < size_; ++i) addSwitches(i);
    for (std::size_t i = 0; i < size_; ++i) addDevice(i);
    addGpuLinks();
    return std::move(inventory_);
  }

 private:
  const Device& device(std::size_t i) const { return matrix_.devices[i]; }

  template <class Visit>
  void eachIn(const Groups& groups, std::size_t group, Visit visit) const {
    for (std::size_t i = group; i < size_; ++i)
      if (groups.of(i) == group) visit(i);
  }

  std::size_t sizeOf(const Groups& groups, std::size_t group) const {
    std::size_t size = 0;
    eachIn(groups, group, [&](std::size_t) { ++size; });
    return size;
  }

  // NUMA nodes.

  struct Numa {
    std::size_t group = 0;
    Cpu cpu;
  };

  void addCpus() {
    std::vector<Numa> nodes = numaNodes();
    giveNumbers(nodes);
    std::sort(nodes.begin(), nodes.end(),
              [](const Numa& a, const Numa& b) { return a.cpu.numa < b.cpu.numa; });
    cpuOfGroup_.assign(size_, kNone);
    for (Numa& node : nodes) {
      cpuOfGroup_[node.group] = static_cast<int>(inventory_.cpus.size());
      inventory_.cpus.push_back(std::move(node.cpu));
    }
  }

  std::vector<Numa> numaNodes() const {
    std::vector<Numa> nodes;
    for (std::size_t group = 0; group < size_; ++group) {
      if (nearness_.node.of(group) != group || !isPlaced(group)) continue;
      Numa node{.group = group, .cpu = {}};
      eachIn(nearness_.node, group, [&](std::size_t i) {
        if (node.cpu.numa == kNone) node.cpu.numa = numaOf(device(i));
        if (node.cpu.affinity.empty()) node.cpu.affinity = threadMask(device(i).threads);
      });
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

  /// GPUs that show nothing but NVLinks could be anywhere, where there is more than one place.
  bool isPlaced(std::size_t group) const {
    bool placed = sizeOf(nearness_.node, group) == size_;
    eachIn(nearness_.node, group, [&](std::size_t i) {
      placed = placed || !device(i).nodes.empty() || !device(i).threads.empty();
      for (std::size_t other = 0; other < size_ && !placed; ++other)
        placed = other != i && matrix_.at(i, other).near != Near::hidden;
    });
    return placed;
  }

  static int numaOf(const Device& device) {
    std::string_view text = device.nodes;
    const auto number = takeNumber(text);
    return number && text.empty() ? *number : kNone;
  }

  /// Graphs tell NUMA nodes apart by their numbers.
  void giveNumbers(std::vector<Numa>& nodes) {
    std::set<int> used;
    for (Numa& node : nodes)
      if (node.cpu.numa != kNone && !used.insert(node.cpu.numa).second) node.cpu.numa = kNone;
    int next = 0, given = 0;
    for (Numa& node : nodes) {
      if (node.cpu.numa != kNone) continue;
      while (used.contains(next)) ++next;
      used.insert(node.cpu.numa = next);
      ++given;
    }
    if (given > 0)
      report_.remark(xml::Report::kWhole,
                     "NUMA nodes without a number of their own in this text: {} of {}; they are "
                     "numbered in order",
                     given, nodes.size());
  }

  // PCI.

  BusId nextBusId() {
    const auto number = static_cast<unsigned>(inventory_.pci.size());
    return {kMadeUpDomain, static_cast<std::uint8_t>(number / 32),
            static_cast<std::uint8_t>(number % 32), 0};
  }

  int addPci(std::size_t device, int parent, std::uint32_t classCode) {
    PciDevice row;
    row.id = nextBusId();
    row.cpu = cpuOfGroup_[nearness_.node.of(device)];
    row.parent = parent;
    row.classCode = classCode;
    inventory_.pci.push_back(std::move(row));
    return static_cast<int>(inventory_.pci.size()) - 1;
  }

  /// Where the device is the first of its group: what is above the group.
  void addSwitches(std::size_t i) {
    if (i == 0) switchOfPxb_.assign(size_, kNone), switchOfPix_.assign(size_, kNone);
    const std::size_t pix = nearness_.pix.of(i);
    const std::size_t pxb = nearness_.pxb.of(i);
    const std::size_t pixSize = sizeOf(nearness_.pix, pix);
    const bool several = sizeOf(nearness_.pxb, pxb) > pixSize;
    if (several && pxb == i) switchOfPxb_[i] = addPci(i, kNone, pci_class::kBridge);
    if (pix == i && (several || pixSize > 1))
      switchOfPix_[i] = addPci(i, switchOfPxb_[pxb], pci_class::kBridge);
  }

  void addDevice(std::size_t i) {
    const Device& device = matrix_.devices[i];
    const int pci =
        addPci(i, switchOfPix_[nearness_.pix.of(i)], device.gpu ? pci_class::k3d : kSomeNic);
    if (device.gpu) {
      gpuOf_.push_back(i);
      addGpu(device, pci);
    } else {
      Nic& nic = inventory_.nics.emplace_back();
      nic.pci = pci;
      nic.name = device.name;
      nic.device = device.number;
    }
  }

  void addGpu(const Device& device, int pci) {
    inventory_.pci.back().vendor = kNvidia;
    Gpu& gpu = inventory_.gpus.emplace_back();
    gpu.pci = pci;
    gpu.device = device.number;
    if (!device.memory.empty()) gpu.other.emplace_back("gpu_numa_id", device.memory);
  }

  // Links of GPUs.

  void addGpuLinks() {
    Groups linked(size_);
    for (const std::size_t a : gpuOf_)
      for (const std::size_t b : gpuOf_)
        if (matrix_.at(a, b).links > 0) linked.join(a, b);
    std::vector<std::vector<int>> switched;
    for (const std::size_t group : gpuOf_) {
      if (linked.of(group) != group) continue;
      std::vector<int> gpus;
      for (std::size_t gpu = 0; gpu < gpuOf_.size(); ++gpu)
        if (linked.of(gpuOf_[gpu]) == group) gpus.push_back(static_cast<int>(gpu));
      if (isSwitched(gpus))
        switched.push_back(std::move(gpus));
      else
        linkDirectly(gpus);
    }
    if (switched.size() == 1) return linkToSwitch(switched.front());
    // Graphs take all NVSwitches of a machine for joined, and the matrix says that these are not.
    for (const std::vector<int>& gpus : switched) linkDirectly(gpus);
    if (!switched.empty())
      report_.remark(xml::Report::kWhole,
                     "{} groups of GPUs have NVSwitches of their own, which nothing joins; their "
                     "NVLinks are taken for direct ones",
                     switched.size());
  }

  const Cell& cell(int a, int b) const {
    return matrix_.at(gpuOf_[static_cast<std::size_t>(a)], gpuOf_[static_cast<std::size_t>(b)]);
  }
  Gpu& gpu(int row) { return inventory_.gpus[static_cast<std::size_t>(row)]; }
  BusId busOf(int row) { return inventory_.pci[static_cast<std::size_t>(gpu(row).pci)].id; }

  void addLinks(int from, GpuLinkKind kind, const BusId& target, std::uint32_t classCode,
                int count) {
    GpuLinks& links = gpu(from).links.emplace_back();
    links.kind = kind;
    links.target = target;
    links.count = count;
    links.targetClass = classCode;
  }

  /// All are linked to all, by more links than one GPU has.
  bool isSwitched(const std::vector<int>& gpus) {
    bool complete = true, nvlink = true, many = false;
    for (const int a : gpus) {
      int sum = 0;
      for (const int b : gpus) {
        complete = complete && (a == b || cell(a, b).links > 0);
        nvlink = nvlink && !cell(a, b).xgmi;
        sum += cell(a, b).links;
      }
      many = many || sum > kMostNvlinks;
    }
    if (nvlink && many && !complete)
      report_.remark(xml::Report::kWhole,
                     "GPU{} and those it is linked to have more NVLinks than {}, "
                     "but are not all linked to each other; taken for direct "
                     "links",
                     gpu(gpus.front()).device, kMostNvlinks);
    return nvlink && many && complete;
  }

  /// What switches there are is not in the text: NCCL's invisible one stands for all.
  void linkToSwitch(const std::vector<int>& gpus) {
    for (const int a : gpus) {
      int most = 0;  // a GPU with fewer than others shows its own number in all its cells
      for (const int b : gpus) most = std::max(most, cell(a, b).links);
      addLinks(a, GpuLinkKind::nvlink, kInvisibleSwitch, pci_class::kNvSwitch, most);
    }
    for (const int a : gpus)
      for (const int b : gpus) {
        const int shown = std::min(gpu(a).links[0].count, gpu(b).links[0].count);
        if (a >= b || cell(a, b).links == shown) continue;
        report_.remark(xml::Report::kWhole,
                       "GPU{} to GPU{} is NV{}, but by their other cells NV{}; "
                       "taken for that",
                       gpu(a).device, gpu(b).device, cell(a, b).links, shown);
      }
  }

  void linkDirectly(const std::vector<int>& gpus) {
    for (const int a : gpus)
      for (const int b : gpus) {
        if (cell(a, b).links == 0) continue;
        const GpuLinkKind kind = cell(a, b).xgmi ? GpuLinkKind::xgmi : GpuLinkKind::nvlink;
        addLinks(a, kind, busOf(b), pci_class::k3d, cell(a, b).links);
        if (cell(a, b).xgmi) inventory_.pci[static_cast<std::size_t>(gpu(a).pci)].vendor.reset();
      }
  }

  const Matrix& matrix_;
  xml::Report& report_;
  const std::size_t size_;
  const Nearness nearness_;
  std::vector<int> cpuOfGroup_;                 // by group of one NUMA node: row
  std::vector<int> switchOfPix_, switchOfPxb_;  // by group: row
  std::vector<std::size_t> gpuOf_;              // by row of gpus: device
  Inventory inventory_;
};

}  // namespace

Inventory inventoryOf(const Matrix& matrix, xml::Report& report) {
  return TreeBuilder(matrix, report).build();
}

}  // namespace lockstep::topology::smi
