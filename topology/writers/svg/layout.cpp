#include "topology/writers/svg/layout.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace lockstep::topology::svg {
namespace {

constexpr double kPad = 8;
constexpr double kLineHeight = 12;
constexpr double kNumaPad = 12;
constexpr double kCpuHeight = 38;
constexpr double kMostTextWidth = 200;
constexpr double kFrameLabel = 6;
constexpr double kMostInRow = 16;
constexpr int kMostDepth = 8;  // of switches within switches; deeper ones stand side by side

/// Of what a CPU is sold as: "(R)" and the like say nothing.
std::string shortModel(std::string model) {
  for (const std::string_view noise : {"(R)", "(TM)", "(tm)", " CPU", " Processor"})
    for (std::size_t at = model.find(noise); at != std::string::npos; at = model.find(noise))
      model.erase(at, noise.size());
  return model.substr(0, model.find(" @"));
}

std::string counted(int count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 || what == "xGMI" ? "" : "s");
}

}  // namespace

void Box::move(double right, double down) {
  x += right;
  y += down;
  for (Box& child : children) child.move(right, down);
}

Flow flow(std::vector<Box>& items, double limit, double gap) {
  Flow extent;
  std::vector<std::pair<std::size_t, double>> rows;  // where each ends, and its width
  double x = 0, y = 0, tallest = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    Box& item = items[i];
    if (x > 0 && x + item.width > limit) {
      rows.emplace_back(i, x - gap);
      x = 0;
      y += tallest + gap;
      tallest = 0;
    }
    item.move(x, y);
    x += item.width + gap;
    tallest = std::max(tallest, item.height);
    extent.width = std::max(extent.width, x - gap);
  }
  if (items.empty()) return extent;
  rows.emplace_back(items.size(), x - gap);
  extent.height = y + tallest;
  std::size_t i = 0;
  for (const auto& [end, width] : rows)
    for (; i < end; ++i) items[i].move((extent.width - width) / 2, 0);
  return extent;
}

Boxes::Boxes(const Graph& graph)
    : graph_(graph), leafWidth_(graph.hosts() > 1 ? 96 : 124), children_(graph.nodes().size() + 1) {
  for (const NodeId gpu : graph.ofKind(NodeKind::gpu))
    gpuLines_ = std::max(gpuLines_, gpuLines(gpu).size());
  std::vector<int> depth(graph.nodes().size());
  std::vector<NodeId> drawnBelow(graph.nodes().size(), kNone);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
    const Node& node = graph.node(id);
    const bool placed = node.kind == NodeKind::pciSwitch || node.kind == NodeKind::gpu ||
                        node.kind == NodeKind::nic;
    if (!placed) continue;
    NodeId above = node.parent;  // which has its place already: parents come first
    if (above != kNone && depth[static_cast<std::size_t>(above)] >= kMostDepth)
      above = drawnBelow[static_cast<std::size_t>(above)];
    const std::size_t slot =
        above == kNone ? children_.size() - 1 : static_cast<std::size_t>(above);
    children_[slot].push_back(id);
    drawnBelow[static_cast<std::size_t>(id)] = above;
    depth[static_cast<std::size_t>(id)] =
        above == kNone ? 1 : depth[static_cast<std::size_t>(above)] + 1;
  }
}

std::string Boxes::shortName(NodeId id) const {
  const std::string& name = graph_.node(id).name;
  const std::string prefix = fmt::format("host{}/", graph_.node(id).host);
  return graph_.hosts() > 1 && name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

std::string Boxes::pcieWidth(NodeId id) const {
  const Node& node = graph_.node(id);
  if (node.parent == kNone) return {};
  const Link* link = graph_.link(id, node.parent, LinkKind::pcie);
  return link == nullptr ? std::string() : widthOf(graph_, *link);
}

/// In one line where that is not too long.
void Boxes::addFitting(std::vector<std::string>& lines, std::string first,
                       std::string second) const {
  std::string both = joined(first, " \u00b7 ", second);
  if (textWidth(both, kSmallFont) <= leafWidth_ - kPad) {
    first = std::move(both);
    second.clear();
  }
  for (std::string* line : {&first, &second})
    if (!line->empty()) lines.push_back(std::move(*line));
}

std::vector<std::string> Boxes::gpuLines(NodeId id) const {
  int nvlinks = 0, toCpu = 0, xgmi = 0;
  std::vector<std::string> lines{shortName(id)};
  std::string chipToChip;
  if (std::string width = pcieWidth(id); !width.empty()) lines.push_back(std::move(width));
  for (const int position : graph_.linksFrom(id)) {
    const Link& link = graph_.links()[static_cast<std::size_t>(position)];
    const bool cpu = graph_.node(link.to).kind == NodeKind::cpu;
    if (link.kind == LinkKind::nvlink) (cpu ? toCpu : nvlinks) += link.count;
    if (link.kind == LinkKind::xgmi) xgmi += link.count;
    if (link.kind == LinkKind::chipToChip) chipToChip = joined("C2C", " ", rateOf(link.bandwidth));
  }
  if (nvlinks > 0) lines.push_back(counted(nvlinks, "NVLink"));
  if (xgmi > 0) lines.push_back(counted(xgmi, "xGMI"));
  if (toCpu > 0) lines.push_back(counted(toCpu, "NVLink") + " to CPU");
  if (!chipToChip.empty()) lines.push_back(std::move(chipToChip));
  const Node& node = graph_.node(id);
  if (!node.bare && node.row != kNone) {
    const std::size_t dead =
        graph_.inventory().gpus[static_cast<std::size_t>(node.row)].deadLinks.size();
    if (dead > 0) lines.push_back(counted(static_cast<int>(dead), "dead NVLink"));
  }
  return lines;
}

std::vector<std::string> Boxes::linesOf(NodeId id) const {
  const Node& node = graph_.node(id);
  if (node.kind == NodeKind::gpu) return gpuLines(id);
  if (node.kind == NodeKind::pciSwitch) {
    std::vector<std::string> lines;
    addFitting(lines, print(node.bus), pcieWidth(id));
    const PciDevice& pci = graph_.inventory().pci[static_cast<std::size_t>(node.pci)];
    if (!pci.peerSwitches.empty()) lines.emplace_back("part of a larger chip");
    return lines;
  }
  std::vector<std::string> lines{shortName(id)};
  std::string speed;
  if (!node.bare && node.row != kNone) {
    const Nic& nic = graph_.inventory().nics[static_cast<std::size_t>(node.row)];
    if (nic.speed.known()) speed = fmt::format("{:g} Gb/s", nic.speed.megabitsPerSecond() / 1000);
    if (nic.up == false) speed = "down";
  }
  addFitting(lines, pcieWidth(id), std::move(speed));
  return lines;
}

Box Boxes::leaf(NodeId id) const {
  const Node& node = graph_.node(id);
  Box box{.node = id, .hasGpu = node.kind == NodeKind::gpu, .lines = linesOf(id), .children = {}};
  const std::size_t lines = box.hasGpu ? gpuLines_ : box.lines.size();
  box.first = id;
  box.width = leafWidth_;
  box.height = 12 + kLineHeight * static_cast<double>(std::max<std::size_t>(lines, 1));
  return box;
}

std::vector<Box> Boxes::childrenOf(NodeId id) const {
  std::vector<Box> boxes;
  const std::size_t slot = id == kNone ? children_.size() - 1 : static_cast<std::size_t>(id);
  for (const NodeId child : children_[slot]) boxes.push_back(boxOf(child));
  return boxes;
}

/// No deeper than kMostDepth.
Box Boxes::boxOf(NodeId id) const {
  Box box = leaf(id);
  box.children = childrenOf(id);
  if (box.children.empty()) return box;
  arrange(box, kPad, kFrameLabel + kLineHeight * static_cast<double>(box.lines.size()));
  return box;
}

/// What leads to GPUs stands above the rest; in the order of devices, not of switches.
void Boxes::arrange(Box& box, double pad, double labelHeight) const {
  std::stable_sort(box.children.begin(), box.children.end(),
                   [](const Box& a, const Box& b) { return a.first < b.first; });
  if (!box.children.empty()) box.first = box.children.front().first;
  const auto rest = std::stable_partition(box.children.begin(), box.children.end(),
                                          [](const Box& child) { return child.hasGpu; });
  std::vector<Box> others(std::make_move_iterator(rest),
                          std::make_move_iterator(box.children.end()));
  box.children.erase(rest, box.children.end());
  box.hasGpu = !box.children.empty();
  if (box.hasGpu) box.first = box.children.front().first;
  const Flow above = flow(box.children, kMostInRow * (leafWidth_ + kGap));
  double widest = 0, all = 0;
  for (const Box& other : others) {
    widest = std::max(widest, other.width);
    all += other.width + kGap;
  }
  const double rows = box.hasGpu ? 3 : 2;
  const double square = std::sqrt(static_cast<double>(others.size())) * (leafWidth_ + kGap);
  const double limit = std::max({above.width, widest, std::min(all / rows + kGap, 2 * square)});
  const Flow below = flow(others, limit);
  const double inner = std::max({above.width, below.width, box.width - 2 * pad});
  const double gap = above.height > 0 && below.height > 0 ? kGap : 0;
  for (Box& child : box.children) child.move(pad + (inner - above.width) / 2, pad);
  for (Box& other : others) {
    other.move(pad + (inner - below.width) / 2, pad + above.height + gap);
    box.children.push_back(std::move(other));
  }
  box.width = inner + 2 * pad;
  box.height = 2 * pad + above.height + gap + below.height + labelHeight;
}

Box Boxes::numaBox(NodeId cpu, std::vector<Box> children) const {
  Box box{.node = cpu, .lines = {}, .children = std::move(children)};
  box.width = leafWidth_ + 2 * kNumaPad;
  if (cpu == kNone) {
    box.lines = {"on no known NUMA node"};
    box.width = textWidth(box.lines[0], kNameFont) + 2 * kNumaPad;
  } else {
    const Cpu& row = graph_.inventory().cpus[static_cast<std::size_t>(graph_.node(cpu).row)];
    box.lines = {shortName(cpu),
                 row.model.empty() ? joined(row.vendor, " ", row.arch) : shortModel(row.model)};
    box.width = std::max(box.width, std::min(textWidth(box.lines[1], kSmallFont), kMostTextWidth) +
                                        2 * kNumaPad + 8);
  }
  arrange(box, kNumaPad, kCpuHeight + (box.children.empty() ? -kNumaPad : 0));
  return box;
}

std::vector<Box> Boxes::numaNodes(int host) const {
  std::vector<Box> boxes;
  for (const NodeId cpu : graph_.ofKind(NodeKind::cpu))
    if (graph_.node(cpu).host == host) boxes.push_back(numaBox(cpu, childrenOf(cpu)));
  if (host == 0 && !children_.back().empty()) boxes.push_back(numaBox(kNone, childrenOf(kNone)));
  return boxes;
}

std::vector<Box> Boxes::chips(const std::vector<NodeId>& nodes, double width) const {
  std::vector<Box> boxes;
  const double share = width / static_cast<double>(std::max<std::size_t>(nodes.size(), 1));
  for (const NodeId id : nodes) {
    int links = 0;
    for (const int position : graph_.linksFrom(id))
      links += graph_.links()[static_cast<std::size_t>(position)].count;
    const BusId& bus = graph_.node(id).bus;
    Box box{.node = id, .lines = {graph_.node(id).name}, .children = {}};
    box.lines.push_back(bus == kInvisibleSwitch ? "its PCI is not shown" : print(bus));
    box.lines.push_back(counted(links, "NVLink"));
    box.width = std::min(share - kGap, 150.0);
    box.height = 12 + 3 * kLineHeight;
    box.move(share * (static_cast<double>(boxes.size()) + 0.5) - box.width / 2, 0);
    boxes.push_back(std::move(box));
  }
  return boxes;
}

}  // namespace lockstep::topology::svg
