#include "topology/writers/tree.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "base/printable.hpp"
#include "topology/inventory/pcie.hpp"
#include "topology/writers/affinity.hpp"

namespace lockstep::topology {

std::string linkText(const PcieLink& link) {
  if (!link.speed.known() && link.width == 0) return {};
  const std::string width = link.width == 0 ? "x?" : fmt::format("x{}", link.width);
  if (!link.speed.known()) return width;
  const int generation = pcieGeneration(link.speed);
  return generation > 0 ? fmt::format("{} Gen{}", width, generation)
                        : fmt::format("{} at {} GT/s", width, link.speed.gigatransfers());
}

std::string bandwidthText(Bandwidth bandwidth) {
  return bandwidth.known() ? fmt::format("{:.1f} GB/s", bandwidth.gigabytesPerSecond()) : "? GB/s";
}

namespace {

/// Of the PCI Code and ID Assignment Specification: what most machines have besides GPUs and NICs.
std::string_view className(std::uint32_t code) {
  constexpr std::array<std::string_view, 0x13> kBase{"device",
                                                     "storage",
                                                     "network device",
                                                     "display",
                                                     "multimedia device",
                                                     "memory",
                                                     "bridge",
                                                     "communication device",
                                                     "system device",
                                                     "input device",
                                                     "docking station",
                                                     "processor",
                                                     "serial bus",
                                                     "wireless device",
                                                     "I/O controller",
                                                     "satellite device",
                                                     "encryption device",
                                                     "signal processor",
                                                     "accelerator"};
  if (code >> 8 == 0x0108) return "NVMe";
  const std::size_t base = code >> 16;
  return base < kBase.size() ? kBase[base] : "device";
}

class Tree {
 public:
  explicit Tree(const Graph& graph) : graph_(graph), inventory_(graph.inventory()) {
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
      const Node& node = graph.node(id);
      if (isDevice(id)) children_[node.parent].push_back(id);
      if (node.pci != kNone) shown_.insert({node.pci, id});
    }
    for (std::size_t row = 0; row < inventory_.pci.size(); ++row)
      if (!shown_.contains(static_cast<int>(row))) others_[above(row)].push_back(row);
  }

  std::string text() {
    for (const NodeId cpu : graph_.ofKind(NodeKind::cpu)) {
      add(0, cpuLine(cpu));
      below(cpu, 1);
    }
    homeless();
    for (const NodeId chip : graph_.ofKind(NodeKind::nvSwitch)) add(0, nvSwitchLine(chip));
    return text_;
  }

 private:
  /// The node that a PCI device which is no node hangs below.
  NodeId above(std::size_t row) const {
    const PciDevice& device = inventory_.pci[row];
    if (device.parent != kNone) {
      const auto parent = shown_.find(device.parent);
      return parent == shown_.end() ? kNone : parent->second;
    }
    if (device.cpu != kNone) return device.cpu;  // CPUs come first among nodes
    return inventory_.cpus.size() == 1 ? 0 : kNone;
  }

  void add(int depth, const std::string& line) {
    text_.append(static_cast<std::size_t>(depth) * 2, ' ');
    text_ += line;
    text_ += '\n';
  }

  /// Without recursion: files can nest deeply.
  void below(NodeId top, int depth) {
    struct Entry {
      NodeId id;
      int depth;
    };
    std::vector<Entry> stack;
    const auto pushChildren = [&](NodeId id, int at) {
      const auto found = children_.find(id);
      if (found == children_.end()) return;
      for (auto child = found->second.rbegin(); child != found->second.rend(); ++child)
        stack.push_back({*child, at});
    };
    addOthers(top, depth);
    pushChildren(top, depth);
    while (!stack.empty()) {
      const Entry entry = stack.back();
      stack.pop_back();
      add(entry.depth, line(entry.id));
      addOthers(entry.id, entry.depth + 1);
      pushChildren(entry.id, entry.depth + 1);
    }
  }

  void homeless() {
    if (!others_.contains(kNone) && !children_.contains(kNone)) return;
    add(0, "on no known NUMA node");
    below(kNone, 1);
  }

  bool isDevice(NodeId id) const {
    const NodeKind kind = graph_.node(id).kind;
    return kind != NodeKind::cpu && kind != NodeKind::nvSwitch && kind != NodeKind::network;
  }

  void addOthers(NodeId top, int depth) {
    const auto found = others_.find(top);
    if (found == others_.end()) return;
    for (const std::size_t row : found->second) add(depth, deviceLine(inventory_.pci[row]));
  }

  static std::string deviceLine(const PciDevice& device) {
    Parts parts{fmt::format("{} {}", className(device.classCode), print(device.id))};
    if (device.vendor && device.device)
      parts.add(fmt::format("[{:04x}:{:04x}]", *device.vendor, *device.device));
    parts.add(printable(device.name));
    parts.add(linkText(device.link));
    return parts.text;
  }

  /// What is known of a device, between commas.
  struct Parts {
    std::string text;
    void add(const std::string& part) {
      if (!part.empty()) text += ", " + part;
    }
  };

  std::string cpuLine(NodeId id) const {
    const Cpu& cpu = inventory_.cpus[static_cast<std::size_t>(graph_.node(id).row)];
    Parts parts{graph_.node(id).name};
    parts.add(printable(cpu.model.empty() ? cpu.vendor : cpu.model));
    if (cpu.model.empty()) parts.add(printable(cpu.arch));
    if (cpu.package >= 0) parts.add(fmt::format("socket {}", cpu.package));
    if (!cpu.affinity.empty()) parts.add("threads " + threadList(cpu.affinity));
    return parts.text;
  }

  std::string line(NodeId id) const {
    const Node& node = graph_.node(id);
    Parts parts{node.name};
    if (node.kind == NodeKind::gpu || (node.kind == NodeKind::nic && node.pci != kNone))
      parts.add(print(node.bus));
    if (node.pci != kNone) {
      const PciDevice& device = inventory_.pci[static_cast<std::size_t>(node.pci)];
      parts.add(printable(device.name));
      parts.add(linkText(device.link));
    }
    if (node.bare) parts.add("only its PCI device is known");
    if (node.kind == NodeKind::gpu && !node.bare) addGpu(parts, id);
    if (node.kind == NodeKind::nic && !node.bare) addNic(parts, node.row);
    return parts.text;
  }

  void addGpu(Parts& parts, NodeId id) const {
    const Gpu& gpu = inventory_.gpus[static_cast<std::size_t>(graph_.node(id).row)];
    if (gpu.sm > 0 && inventory_.version == 1) parts.add(fmt::format("sm {}", gpu.sm));
    for (const LinkKind kind : {LinkKind::nvlink, LinkKind::xgmi, LinkKind::chipToChip})
      parts.add(linksText(id, kind));
    if (const std::size_t dead = gpu.deadLinks.size(); dead > 0)
      parts.add(fmt::format("{} dead NVLink{}", dead, dead == 1 ? "" : "s"));
  }

  /// "18 NVLinks 370.8 GB/s (4 to NVSwitch0, 5 to NVSwitch1, 5 to NVSwitch2, 4 to NVSwitch3)"
  std::string linksText(NodeId id, LinkKind kind) const {
    std::map<NodeId, int> countTo;
    int count = 0;
    Bandwidth bandwidth;
    for (const int position : graph_.linksFrom(id)) {
      const Link& link = graph_.links()[static_cast<std::size_t>(position)];
      if (link.kind != kind) continue;
      count += link.count;
      bandwidth += link.bandwidth;
      countTo[link.to] += link.count;
    }
    if (count == 0) return {};
    std::vector<std::string> targets;
    for (const auto& [to, links] : countTo)
      targets.push_back(fmt::format("{} to {}", links, graph_.node(to).name));
    const std::string_view more = kind == LinkKind::nvlink ? "" : " link";
    return fmt::format("{} {}{}{}{} ({})", count, name(kind), more, count == 1 ? "" : "s",
                       bandwidth.known() ? " " + bandwidthText(bandwidth) : "",
                       fmt::join(targets, ", "));
  }

  void addNic(Parts& parts, int row) const {
    const Nic& nic = inventory_.nics[static_cast<std::size_t>(row)];
    if (nic.speed.known())
      parts.add(fmt::format("{:g} Gb/s", nic.speed.megabitsPerSecond() / 1000));
    if (nic.port > 0) parts.add(fmt::format("port {}", nic.port));
    if (nic.up.has_value()) parts.add(*nic.up ? "up" : "down");
  }

  std::string nvSwitchLine(NodeId id) const {
    const Node& node = graph_.node(id);
    int count = 0;
    std::size_t gpus = 0;
    for (const int position : graph_.linksFrom(id)) {
      count += graph_.links()[static_cast<std::size_t>(position)].count;
      ++gpus;
    }
    Parts parts{node.name};
    parts.add(node.bus == kInvisibleSwitch ? "not visible from here" : print(node.bus));
    parts.add(fmt::format("{} NVLinks to {} GPUs", count, gpus));
    return parts.text;
  }

  const Graph& graph_;
  const Inventory& inventory_;
  std::map<NodeId, std::vector<NodeId>> children_;
  std::map<NodeId, std::vector<std::size_t>> others_;
  std::map<int, NodeId> shown_;  // by row of pci
  std::string text_;
};

}  // namespace

std::string writeTree(const Graph& graph) {
  return Tree(graph).text();
}

}  // namespace lockstep::topology
