#include "topology/writers/svg/host.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/printable.hpp"
#include "topology/writers/palette.hpp"

namespace lockstep::topology::svg {
namespace {

constexpr double kMostWidth = 4000;
constexpr std::size_t kMostWiredGpus = 64;  // with more, wires are a carpet
constexpr double kNumaGap = 24;
constexpr double kChipGap = 140;
constexpr double kChipHeight = 48;
constexpr double kCpuRail = 34;
constexpr double kCpuBar = 32;

/// Of a link in this picture: by how many there are side by side.
double widthOfLines(const Pair& pair) {
  return std::min(1.0 + 0.35 * pair.there->count, 8.0);
}

void drawLines(Canvas& canvas, const Box& box, double y) {
  for (std::size_t i = 0; i < box.lines.size(); ++i) {
    Font font = i == 0 ? kNameFont : kSmallFont;
    if (box.lines[i].find("dead") != std::string::npos) font.fill = "#b3261e";
    canvas.text(box.middle(), y, fitted(box.lines[i], box.width - 6, font), font);
    y += 12;
  }
}

/// A CPU is a bar at the bottom of its NUMA node.
void drawCpu(Canvas& canvas, const Box& box, const std::string& title) {
  canvas.rectangle(box.x, box.y, box.width, box.height, "#fafafa", "#c4c4c4", {}, 8);
  const double y = box.bottom() - 12 - kCpuBar + 6;
  const Colours colours = coloursOf(NodeKind::cpu);
  if (box.node != kNone)
    canvas.rectangle(box.x + 12, y, box.width - 24, kCpuBar, colours.fill, colours.stroke, title);
  const double base = box.lines.size() > 1 && !box.lines[1].empty() ? y + 13 : y + 20;
  const double room = box.width - 30;
  canvas.text(box.middle(), base, fitted(box.lines[0], room, kNameFont), kNameFont);
  if (box.lines.size() > 1)
    canvas.text(box.middle(), y + 26, fitted(box.lines[1], room, kSmallFont), kSmallFont);
}

/// What a browser shows for a node.
std::string titleOf(const Graph& graph, const Box& box) {
  if (box.node == kNone) return {};
  const Node& node = graph.node(box.node);
  std::string title = printable(node.name);
  const Inventory& inventory = graph.inventory();
  if (node.pci != kNone) {
    const PciDevice& pci = inventory.pci[static_cast<std::size_t>(node.pci)];
    if (node.kind == NodeKind::gpu || node.kind == NodeKind::nic)
      title = joined(title, ", ", print(pci.id));
    title = joined(title, ", ", printable(pci.name));
  }
  if (node.kind == NodeKind::cpu)
    title = joined(title, ", ", printable(inventory.cpus[static_cast<std::size_t>(node.row)].model));
  for (std::size_t i = 1; i < box.lines.size() && node.kind != NodeKind::cpu; ++i)
    title = joined(title, ", ", printable(box.lines[i]));
  return title;
}

}  // namespace

std::string titleOf(const Graph& graph, const Pair& pair) {
  return joined(
      fmt::format("{} to {}", printable(graph.node(pair.a).name), printable(graph.node(pair.b).name)), ": ",
      describe(graph, pair));
}

void draw(Canvas& canvas, const Graph& graph, const Box& box, int depth) {
  const std::string title = titleOf(graph, box);
  const NodeKind kind = box.node == kNone ? NodeKind::cpu : graph.node(box.node).kind;
  const Colours colours = coloursOf(kind);
  if (kind == NodeKind::cpu) {
    drawCpu(canvas, box, title);
  } else {
    const bool darker = kind == NodeKind::pciSwitch && depth % 2 == 0;
    canvas.rectangle(box.x, box.y, box.width, box.height, darker ? "#e0e0e0" : colours.fill,
                     colours.stroke, title);
    const double lines = 12 * static_cast<double>(box.lines.size());
    const double y =
        box.children.empty() ? box.y + (box.height - lines) / 2 : box.bottom() - lines - 6;
    if (kind == NodeKind::pciSwitch) {
      for (std::size_t i = 0; i < box.lines.size(); ++i)
        canvas.text(box.middle(), y + 9 + 12 * static_cast<double>(i),
                    fitted(box.lines[i], box.width - 6, kSmallFont), kSmallFont);
    } else {
      drawLines(canvas, box, y + 10);
    }
  }
  for (const Box& child : box.children) draw(canvas, graph, child, depth + 1);
}

HostPicture::HostPicture(const Graph& graph, const Boxes& boxes, const std::vector<Pair>& pairs,
                         int host)
    : graph_(graph), host_(host), numas_(boxes.numaNodes(host)) {
  double tallest = 0;
  for (const Box& box : numas_) tallest = std::max(tallest, box.height);
  for (Box& box : numas_) box.height = tallest;  // all CPUs in one line
  const Flow extent = flow(numas_, kMostWidth, kNumaGap);
  collectGpus(numas_);
  addWires(pairs);
  std::vector<NodeId> chips;
  for (const NodeId id : graph.ofKind(NodeKind::nvSwitch))
    if (graph.node(id).host == host || graph.hosts() == 1) chips.push_back(id);
  width_ = std::max(extent.width, 84.0 * static_cast<double>(chips.size()));
  for (Box& box : numas_) box.move((width_ - extent.width) / 2, 0);
  chips_ = boxes.chips(chips, width_);
  int widest = 0;
  for (const Wire& wire : wires_) widest = std::max(widest, wire.span);
  arcStep_ = widest == 0 ? 0 : std::min(17.0, 400.0 / widest);
  top_ = (chips_.empty() ? 0 : kChipHeight + (wires_.empty() ? kNumaGap : kChipGap)) +
         (widest == 0 ? 0 : arcHeight(widest) + 16);
  for (Box& box : numas_) box.move(0, top_);
  height_ = top_ + extent.height + (cpuLinks_.empty() ? 0 : kCpuRail);
  gpus_.clear();
  collectGpus(numas_);
}

void HostPicture::collectGpus(const std::vector<Box>& boxes) {
  for (const Box& box : boxes) {
    if (box.node != kNone && graph_.node(box.node).kind == NodeKind::gpu) {
      positionOfGpu_[box.node] = static_cast<int>(gpus_.size());
      gpus_.push_back(box);
    }
    collectGpus(box.children);
  }
}

void HostPicture::addWires(const std::vector<Pair>& pairs) {
  for (const Pair& pair : pairs) {
    const Node& a = graph_.node(pair.a);
    const Node& b = graph_.node(pair.b);
    if (pair.kind == LinkKind::interCpu && a.host == host_) cpuLinks_.push_back(&pair);
    if (pair.kind == LinkKind::nvlink || pair.kind == LinkKind::xgmi)
      if ((a.kind == NodeKind::gpu && a.host == host_) ||
          (b.kind == NodeKind::gpu && b.host == host_))
        addWire(pair);
  }
}

void HostPicture::addWire(const Pair& pair) {
  const bool first = graph_.node(pair.a).kind == NodeKind::gpu;
  NodeId gpu = first ? pair.a : pair.b;
  NodeId other = first ? pair.b : pair.a;
  const Node& far = graph_.node(other);
  if (far.kind == NodeKind::cpu) return;  // said in the box of the GPU
  if (graph_.hosts() > 1 && far.host != host_) {
    outside_.push_back(&pair);
    return;
  }
  if (gpus_.size() > kMostWiredGpus) {
    linksLeftOut_ = true;
    return;
  }
  int span = 0;
  if (far.kind == NodeKind::gpu) {
    if (positionOfGpu_.at(gpu) > positionOfGpu_.at(other)) std::swap(gpu, other);
    span = positionOfGpu_.at(other) - positionOfGpu_.at(gpu);
  }
  wires_.push_back({&pair, gpu, other, span});
}

void HostPicture::moveTo(double x, double y) {
  y_ = y;
  for (std::vector<Box>* boxes : {&numas_, &chips_, &gpus_})
    for (Box& box : *boxes) box.move(x, y);
}

const Box* HostPicture::boxOf(NodeId id) const {
  if (const auto gpu = positionOfGpu_.find(id); gpu != positionOfGpu_.end())
    return &gpus_[static_cast<std::size_t>(gpu->second)];
  const auto chip =
      std::find_if(chips_.begin(), chips_.end(), [&](const Box& box) { return box.node == id; });
  return chip == chips_.end() ? nullptr : &*chip;
}

/// Where each wire meets its two boxes. Along the edge of a GPU, wires stand so that arcs to one
/// side lie within each other: nearest left ones first, then farther ones, then to NVSwitches, then
/// to the right, nearest last.
std::map<const HostPicture::Wire*, std::pair<double, double>> HostPicture::ports() const {
  struct End {
    const Wire* wire;
    bool first;
    double order;
  };
  std::map<NodeId, std::vector<End>> ends;
  for (const Wire& wire : wires_) {
    if (wire.span > 0) {
      ends[wire.gpu].push_back({&wire, true, 1e6 - wire.span});
      ends[wire.other].push_back({&wire, false, -1e6 + wire.span});
    } else {
      ends[wire.gpu].push_back({&wire, true, boxOf(wire.other)->x});
      ends[wire.other].push_back({&wire, false, boxOf(wire.gpu)->x});
    }
  }
  std::map<const Wire*, std::pair<double, double>> ports;
  for (auto& [id, here] : ends) {
    std::stable_sort(here.begin(), here.end(),
                     [](const End& a, const End& b) { return a.order < b.order; });
    const Box* box = boxOf(id);
    const double share = (box->width - 12) / static_cast<double>(here.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      const double x = box->x + 6 + share * (static_cast<double>(i) + 0.5);
      (here[i].first ? ports[here[i].wire].first : ports[here[i].wire].second) = x;
    }
  }
  return ports;
}

void HostPicture::drawWires(Canvas& canvas) const {
  const auto ports = this->ports();
  const bool counts = portSpacing() >= 13;
  for (const Wire& wire : wires_) {
    if (wire.span > 0) continue;
    const auto [from, to] = ports.at(&wire);
    drawToChip(canvas, wire, from, to);
    if (counts)
      canvas.textOnLine(from, y_ + top_ - 5, std::to_string(wire.pair->there->count), kSmallFont);
  }
  std::vector<const Wire*> arcs;
  for (const Wire& wire : wires_)
    if (wire.span > 0) arcs.push_back(&wire);
  for (const Wire* wire : arcs) drawArc(canvas, *wire, ports.at(wire).first, ports.at(wire).second);
  // Texts after all arcs, so that none crosses them.
  if (arcStep_ < 12) return;
  for (const Wire* wire : arcs) {
    const auto [from, to] = ports.at(wire);
    const std::string there = widthOf(graph_, *wire->pair->there);
    const bool same = wire->pair->back != nullptr && wire->pair->symmetric();
    const std::string back = wire->pair->back == nullptr ? "0" : widthOf(graph_, *wire->pair->back);
    canvas.textOnLine((from + to) / 2, y_ + top_ - arcHeight(wire->span) + 3,
                      same ? there : joined(there, "/", back), kSmallFont);
  }
}

/// The curve's summit is at three quarters of its control points.
void HostPicture::drawArc(Canvas& canvas, const Wire& wire, double from, double to) const {
  const double rail = y_ + top_;
  const double control = rail - arcHeight(wire.span) * 4 / 3;
  canvas.line(fmt::format("M {0:.1f} {1:.1f} V {2:.1f} C {0:.1f} {3:.1f}, {4:.1f} {3:.1f}, {4:.1f} "
                          "{2:.1f} V {5:.1f}",
                          from, boxOf(wire.gpu)->y, rail, control, to, boxOf(wire.other)->y),
              {.colour = colourOf(wire.pair->kind), .width = widthOfLines(*wire.pair)},
              titleOf(graph_, *wire.pair));
}

void HostPicture::drawToChip(Canvas& canvas, const Wire& wire, double from, double to) const {
  const double bottom = boxOf(wire.gpu)->y;
  const double chip = boxOf(wire.other)->bottom();
  const double half = (y_ + top_ - chip) / 2;
  canvas.line(
      fmt::format("M {:.1f} {:.1f} V {:.1f} C {:.1f} {:.1f}, {:.1f} {:.1f}, {:.1f} {:.1f}", from,
                  bottom, y_ + top_ - 14, from, y_ + top_ - 14 - half, to, chip + half, to, chip),
      {.colour = colourOf(wire.pair->kind),
       .width = widthOfLines(*wire.pair),
       .opacity = wires_.size() > 100 ? 0.45 : 0.75},
      titleOf(graph_, *wire.pair));
}

/// Between the ends of wires at the GPU that has most.
double HostPicture::portSpacing() const {
  std::map<NodeId, int> count;
  int most = 1;
  for (const Wire& wire : wires_) {
    most = std::max(most, ++count[wire.gpu]);
    if (wire.span > 0) most = std::max(most, ++count[wire.other]);
  }
  return gpus_.empty() ? 0 : gpus_.front().width / most;
}

/// All NUMA nodes of a machine reach each other: they hang on one line.
void HostPicture::drawCpuLinks(Canvas& canvas) const {
  if (cpuLinks_.empty()) return;
  double bottom = 0, left = 1e9, right = 0;
  Bandwidth least, most;
  for (const Pair* pair : cpuLinks_) {
    least = narrower(least, pair->there->bandwidth);
    most = std::max(most, pair->there->bandwidth);
  }
  std::string text = rateOf(least);
  if (most > least) text = fmt::format("{:.1f} to {}", least.gigabytesPerSecond(), rateOf(most));
  for (const Box& box : numas_) bottom = std::max(bottom, box.bottom());
  const double rail = bottom + 16;
  const Stroke stroke{.colour = colourOf(LinkKind::interCpu), .width = 2};
  for (const Box& box : numas_) {
    if (box.node == kNone) continue;
    left = std::min(left, box.middle());
    right = std::max(right, box.middle());
    canvas.line(fmt::format("M {0:.1f} {1:.1f} V {2:.1f}", box.middle(), box.bottom(), rail),
                stroke);
  }
  canvas.line(fmt::format("M {:.1f} {:.1f} H {:.1f}", left, rail, right), stroke,
              joined("between NUMA nodes", ": ", text));
  canvas.textOnLine((left + right) / 2, rail + 3.5, text, kSmallFont);
}

std::vector<HostPicture::Exit> HostPicture::exits() const {
  std::vector<Exit> exits;
  for (const Pair* pair : outside_) {
    const NodeId gpu = positionOfGpu_.contains(pair->a) ? pair->a : pair->b;
    const Box* box = boxOf(gpu);
    if (box != nullptr) exits.push_back({box->middle(), box->y, pair});
  }
  return exits;
}

void HostPicture::draw(Canvas& canvas) const {
  drawCpuLinks(canvas);
  for (const Box& box : numas_) svg::draw(canvas, graph_, box);
  drawWires(canvas);
  for (const Box& box : chips_) svg::draw(canvas, graph_, box);
}

}  // namespace lockstep::topology::svg
