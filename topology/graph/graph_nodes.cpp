// The nodes of a graph.
#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "topology/graph/graph_builder.hpp"

namespace lockstep::topology {
namespace {

/// CPUs are all linked to each other, and pairs of devices have paths: what is drawn and searched
/// grows with the square. Racks have 72 GPUs.
constexpr std::size_t kMostCpus = 1024;
constexpr std::size_t kMostDevices = 4096;

constexpr std::uint16_t kNvidia = 0x10de;

bool isNvSwitch(const PciDevice& device) {
  return device.classCode == pci_class::kNvSwitch && device.vendor == kNvidia;
}

}  // namespace

void GraphBuilder::build() {
  requirePossible();
  addCpus();
  placeDevices();
  addSwitches();
  addGpus();
  addNvSwitches();
  addNics();
  requireDrawable();
  addNetwork();
  giveUniqueNames();
  graph_.out_.resize(graph_.nodes_.size());
  linkPcie();
  linkPeerSwitches();
  linkCpus();
  linkGpus();
  linkNetwork();
  sortLinks();
}

void GraphBuilder::requireAtMost(std::size_t most, std::size_t count, const char* what) const {
  if (count > most)
    fail(ErrorCode::invalidArgument, "{}: {} {}; at most {} can be made a graph of",
         inventory_.source, count, what, most);
}

void GraphBuilder::requirePossible() const {
  requireAtMost(kMostCpus, inventory_.cpus.size(), "NUMA nodes");
  requireAtMost(kMostDevices, inventory_.gpus.size(), "GPUs");
  requireAtMost(kMostDevices, inventory_.nics.size(), "NICs");
  requireAtMost(4 * kMostDevices, inventory_.pci.size(), "PCI devices");
}

/// With those that only PCI shows, or only the links that lead to them.
void GraphBuilder::requireDrawable() const {
  requireAtMost(kMostDevices, graph_.ofKind(NodeKind::gpu).size(), "GPUs");
  requireAtMost(kMostDevices, graph_.ofKind(NodeKind::nvSwitch).size(), "NVSwitches");
  requireAtMost(kMostDevices, graph_.ofKind(NodeKind::nic).size(), "NICs");
}

NodeId GraphBuilder::add(Node node) {
  const auto id = static_cast<NodeId>(graph_.nodes_.size());
  if (node.kind == NodeKind::cpu) node.cpu = id;
  graph_.kinds_[static_cast<std::size_t>(node.kind)].push_back(id);
  graph_.nodes_.push_back(std::move(node));
  return id;
}

std::string GraphBuilder::withHost(int host, std::string name) const {
  return graph_.hosts_ > 1 ? fmt::format("host{}/{}", host, name) : name;
}

void GraphBuilder::addCpus() {
  std::map<std::string, int> hosts;
  for (const Cpu& cpu : inventory_.cpus)
    hostOfCpu_.push_back(hosts.try_emplace(cpu.host, static_cast<int>(hosts.size())).first->second);
  graph_.hosts_ = std::max(1, static_cast<int>(hosts.size()));
  for (std::size_t row = 0; row < inventory_.cpus.size(); ++row) {
    const int host = hostOfCpu_[row];
    const int numa = inventory_.cpus[row].numa;
    const std::string name = numa < 0 ? std::string("CPU") : fmt::format("NUMA {}", numa);
    add({.kind = NodeKind::cpu,
         .name = withHost(host, name),
         .row = static_cast<int>(row),
         .host = host});
  }
}

/// Nodes of CPUs have the numbers of their rows, so a row is a node here.
void GraphBuilder::placeDevices() {
  const bool onlyOne = inventory_.cpus.size() == 1;
  cpuOfPci_.reserve(inventory_.pci.size());
  std::size_t homeless = 0;
  for (const PciDevice& device : inventory_.pci) {
    // Below a switch means on its CPU, whatever else is said.
    int cpu = device.parent == kNone ? kNone : cpuOfPci_[static_cast<std::size_t>(device.parent)];
    if (cpu == kNone) cpu = device.cpu;
    if (cpu == kNone && onlyOne) cpu = 0;
    homeless += cpu == kNone ? 1 : 0;
    pciAt_.try_emplace({hostBelow(cpu), device.id}, static_cast<int>(cpuOfPci_.size()));
    cpuOfPci_.push_back(cpu);
  }
  if (homeless > 0)
    remark(fmt::format("{} PCI device{}: no source says which NUMA node {} on", homeless,
                       homeless == 1 ? "" : "s", homeless == 1 ? "it is" : "they are"));
}

int GraphBuilder::hostBelow(int cpu) const {
  return cpu == kNone ? 0 : hostOfCpu_[static_cast<std::size_t>(cpu)];
}

NodeId GraphBuilder::addPciNode(NodeKind kind, int row, std::string name) {
  const PciDevice& device = pci(row);
  const int cpu = cpuOfPci_[static_cast<std::size_t>(row)];
  const int host = hostBelow(cpu);
  const NodeId above =
      device.parent == kNone ? cpu : switchOfPci_[static_cast<std::size_t>(device.parent)];
  return add({.kind = kind,
              // GPUs count on through all hosts, so their numbers tell them apart.
              .name = kind == NodeKind::gpu ? std::move(name) : withHost(host, std::move(name)),
              .row = row,
              .pci = row,
              .cpu = cpu,
              .parent = above,
              .bus = device.id,
              .host = host});
}

/// Bridges, and whatever else has devices below it.
void GraphBuilder::addSwitches() {
  std::vector<bool> hasChildren(inventory_.pci.size());
  for (const PciDevice& device : inventory_.pci)
    if (device.parent != kNone) hasChildren[static_cast<std::size_t>(device.parent)] = true;
  switchOfPci_.assign(inventory_.pci.size(), kNone);
  for (std::size_t row = 0; row < inventory_.pci.size(); ++row)
    if (isSwitch(inventory_.pci[row]) || hasChildren[row])
      switchOfPci_[row] = addPciNode(NodeKind::pciSwitch, static_cast<int>(row),
                                     fmt::format("PCIe switch {}", print(inventory_.pci[row].id)));
}

namespace {

using Number = std::pair<int, int>;  // host, and what the source calls it there

bool tellApart(const std::vector<Number>& numbers) {
  const std::set<Number> different(numbers.begin(), numbers.end());
  return different.size() == numbers.size() &&
         std::all_of(numbers.begin(), numbers.end(), [](const Number& n) { return n.second >= 0; });
}

/// Rows by their numbers where these tell them apart, or else as they come.
std::vector<std::size_t> orderBy(const std::vector<Number>& numbers) {
  std::vector<std::size_t> order(numbers.size());
  std::iota(order.begin(), order.end(), 0U);
  if (tellApart(numbers))
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return numbers[a] < numbers[b]; });
  return order;
}

}  // namespace

void GraphBuilder::addGpus() {
  std::vector<Number> numbers;
  for (const Gpu& gpu : inventory_.gpus)
    numbers.emplace_back(hostBelow(cpuOfPci_[static_cast<std::size_t>(gpu.pci)]), gpu.device);
  // Through several hosts they count on.
  const bool asTold = graph_.hosts_ == 1 && tellApart(numbers);
  int next = 0;
  gpuOfRow_.assign(inventory_.gpus.size(), kNone);
  std::vector<bool> known(inventory_.pci.size());
  for (const std::size_t row : orderBy(numbers)) {
    const int device = inventory_.gpus[row].pci;
    const int number = asTold ? numbers[row].second : next++;
    const NodeId id = addPciNode(NodeKind::gpu, device, fmt::format("GPU{}", number));
    node(id).row = static_cast<int>(row);
    gpuOfRow_[row] = id;
    gpuAt_[{node(id).host, node(id).bus}] = id;
    known[static_cast<std::size_t>(device)] = true;
  }
  for (std::size_t row = 0; row < inventory_.pci.size(); ++row) {
    if (known[row] || !looksLikeGpu(inventory_.pci[row])) continue;
    std::string name = inventory_.gpus.empty()
                           ? fmt::format("GPU{}", next++)
                           : fmt::format("GPU {}", print(inventory_.pci[row].id));
    const NodeId id = addPciNode(NodeKind::gpu, static_cast<int>(row), std::move(name));
    node(id).bare = true;
    gpuAt_[{node(id).host, node(id).bus}] = id;
  }
}

/// What the links lead to: as their source says, or else as PCI shows that device. Old drivers do
/// not say.
std::uint32_t GraphBuilder::targetClass(NodeId gpu, const GpuLinks& links) const {
  if (links.targetClass != 0) return links.targetClass;
  const auto found = pciAt_.find({graph_.node(gpu).host, links.target});
  return found == pciAt_.end() ? 0 : pci(found->second).classCode;
}

/// Those that NVLinks lead to, and those that only PCI shows. By bus id.
void GraphBuilder::addNvSwitches() {
  std::map<Place, int> found;  // with its row of pci
  for (std::size_t row = 0; row < inventory_.pci.size(); ++row)
    if (isNvSwitch(inventory_.pci[row]))
      found[{hostBelow(cpuOfPci_[row]), inventory_.pci[row].id}] = static_cast<int>(row);
  for (const NodeId id : gpuOfRow_)
    for (const GpuLinks& links : inventory_.gpus[static_cast<std::size_t>(node(id).row)].links)
      if (targetClass(id, links) == pci_class::kNvSwitch)
        found.try_emplace({links.target == kInvisibleSwitch ? kNone : node(id).host, links.target},
                          kNone);
  int number = 0;
  for (const auto& [place, row] : found) {
    const std::string name = fmt::format("NVSwitch{}", number++);
    nvSwitchAt_[place] = add({.kind = NodeKind::nvSwitch,
                              .name = name,
                              .pci = row,
                              .bus = place.second,
                              .host = place.first});
  }
}

int GraphBuilder::cpuOf(const Nic& nic) const {
  if (nic.pci != kNone) return cpuOfPci_[static_cast<std::size_t>(nic.pci)];
  return nic.cpu == kNone && inventory_.cpus.size() == 1 ? 0 : nic.cpu;
}

void GraphBuilder::addNics() {
  std::vector<bool> known(inventory_.pci.size());
  std::vector<Number> numbers;
  for (const Nic& nic : inventory_.nics) numbers.emplace_back(hostBelow(cpuOf(nic)), nic.device);
  for (const std::size_t row : orderBy(numbers)) {
    const Nic& nic = inventory_.nics[row];
    std::string name = nic.name.empty() ? fmt::format("NIC{}", row) : printable(nic.name);
    if (nic.pci != kNone) {
      known[static_cast<std::size_t>(nic.pci)] = true;
      const NodeId id = addPciNode(NodeKind::nic, nic.pci, std::move(name));
      node(id).row = static_cast<int>(row);
      continue;
    }
    const int cpu = cpuOf(nic);
    const int host = hostBelow(cpu);
    add({.kind = NodeKind::nic,
         .name = withHost(host, std::move(name)),
         .row = static_cast<int>(row),
         .cpu = cpu,
         .parent = cpu,
         .host = host});
  }
  int next = 0;
  for (std::size_t row = 0; row < inventory_.pci.size(); ++row) {
    if (known[row] || !looksLikeNic(inventory_.pci[row])) continue;
    std::string name = inventory_.nics.empty()
                           ? fmt::format("NIC{}", next++)
                           : fmt::format("NIC {}", print(inventory_.pci[row].id));
    node(addPciNode(NodeKind::nic, static_cast<int>(row), std::move(name))).bare = true;
  }
}

void GraphBuilder::addNetwork() {
  const bool needed =
      graph_.hosts_ > 1 && !graph_.kinds_[static_cast<std::size_t>(NodeKind::nic)].empty();
  if (needed) add({.kind = NodeKind::network, .name = "network", .host = kNone});
}

/// Two ports of one card may have one name: who reads a table must tell them apart.
void GraphBuilder::giveUniqueNames() {
  std::unordered_set<std::string> taken;
  for (const Node& each : graph_.nodes_) taken.insert(each.name);
  std::unordered_map<std::string, int> uses;
  for (Node& each : graph_.nodes_) {
    int& number = uses[each.name];
    if (++number == 1) continue;
    std::string other = fmt::format("{}#{}", each.name, number);
    while (!taken.insert(other).second) other = fmt::format("{}#{}", each.name, ++number);
    each.name = other;
  }
}

}  // namespace lockstep::topology
