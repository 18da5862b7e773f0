#include "topology/writers/svg.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/printable.hpp"
#include "topology/writers/palette.hpp"
#include "topology/writers/svg/host.hpp"

namespace lockstep::topology {
namespace {

using svg::Anchor;
using svg::Box;
using svg::Canvas;
using svg::Font;
using svg::HostPicture;

constexpr double kMargin = 28;
constexpr double kTrayPad = 12;
constexpr double kTrayTitle = 20;
constexpr double kTrayGap = 34;  // a rail fits between
constexpr double kLeastWidth = 640;
constexpr std::size_t kMostRemarksShown = 4;
constexpr Font kTitle{.size = 18, .bold = true};
constexpr Font kSummary{.size = 12, .fill = "#444444"};
constexpr Font kLegend{.size = 10.5, .fill = "#444444"};

std::string plural(std::size_t count, std::string_view what) {
  const std::string_view ending = what.ends_with("ch") ? "es" : "s";
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : ending);
}

/// In lines, broken at blanks; no more than three, the last of which is cut.
std::vector<std::string> wrapped(std::string_view text, double width, const Font& font) {
  std::vector<std::string> lines;
  std::string rest = printable(text, 1000);
  while (lines.size() < 2 && svg::textWidth(rest, font) > width) {
    std::size_t end = rest.size();
    while (end != std::string::npos && end > 0 &&
           svg::textWidth(std::string_view(rest).substr(0, end), font) > width)
      end = rest.rfind(' ', end - 1);
    if (end == std::string::npos || end == 0) break;
    lines.push_back(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  lines.push_back(svg::fitted(rest, width, font));
  return lines;
}

class Picture {
 public:
  explicit Picture(const Graph& graph)
      : graph_(graph), boxes_(graph), pairs_(pairsOf(graph)), severalHosts_(graph.hosts() > 1) {
    for (int host = 0; host < graph.hosts(); ++host)
      hosts_.emplace_back(graph, boxes_, pairs_, host);
  }

  std::string draw() {
    for (const HostPicture& host : hosts_) {
      trayWidth_ = std::max(trayWidth_, host.width());
      trayHeight_ = std::max(trayHeight_, host.height());
    }
    if (severalHosts_) {
      trayWidth_ += 2 * kTrayPad;
      trayHeight_ += kTrayPad + kTrayTitle;
      columns_ = bestColumns();
    }
    const auto columns = static_cast<double>(columns_);
    width_ = std::max(kLeastWidth, columns * (trayWidth_ + kTrayGap) - kTrayGap + 2 * kMargin);
    heading();
    sharedChips();
    placeHosts();
    rails();
    for (std::size_t host = 0; host < hosts_.size(); ++host) drawHost(host);
    for (const Box& box : shared_) svg::draw(canvas_, graph_, box);
    network();
    legend();
    remarks();
    return canvas_.picture(width_, y_ + kMargin / 2, title());
  }

 private:
  /// So that the picture is about as wide as a screen.
  std::size_t bestColumns() const {
    std::size_t columns = 1;
    const auto shape = [&](std::size_t c) {
      const double rows = std::ceil(static_cast<double>(hosts_.size()) / static_cast<double>(c));
      return static_cast<double>(c) * (trayWidth_ + kTrayGap) / (rows * (trayHeight_ + kTrayGap));
    };
    while (columns < hosts_.size() && shape(columns) < 1.4) ++columns;
    return columns;
  }

  std::string title() const {
    const std::string& source = graph_.inventory().source;
    return source.empty() ? "topology" : source;
  }

  void heading() {
    y_ = kMargin + 10;
    canvas_.text(kMargin, y_, svg::fitted(title(), width_ - 2 * kMargin, kTitle), kTitle,
                 Anchor::start);
    y_ += 20;
    canvas_.text(kMargin, y_, svg::fitted(summary(), width_ - 2 * kMargin, kSummary), kSummary,
                 Anchor::start);
    y_ += 24;
  }

  std::string summary() const {
    std::string text;
    if (severalHosts_) text = plural(static_cast<std::size_t>(graph_.hosts()), "host");
    for (const NodeKind kind : {NodeKind::gpu, NodeKind::nvSwitch, NodeKind::nic}) {
      const std::size_t count = graph_.ofKind(kind).size();
      if (count == 0) continue;
      text = joined(text, ", ", plural(count, name(kind)));
      if (kind == NodeKind::gpu && !model().empty()) text += fmt::format(" ({})", model());
    }
    const std::size_t cpus = graph_.ofKind(NodeKind::cpu).size();
    return cpus == 0 ? text : joined(text, ", ", plural(cpus, "NUMA node"));
  }

  /// Of all GPUs, where they are all of one.
  std::string model() const {
    std::set<std::string> names;
    for (const NodeId id : graph_.ofKind(NodeKind::gpu))
      names.insert(graph_.inventory().pci[static_cast<std::size_t>(graph_.node(id).pci)].name);
    return names.size() == 1 ? printable(*names.begin()) : std::string();
  }

  /// NVSwitches of no single machine stand above all of them.
  void sharedChips() {
    std::vector<NodeId> chips;
    for (const NodeId id : graph_.ofKind(NodeKind::nvSwitch))
      if (severalHosts_ && graph_.node(id).host == kNone) chips.push_back(id);
    if (chips.empty()) return;
    shared_ = boxes_.chips(chips, width_ - 2 * kMargin);
    for (Box& box : shared_) box.move(kMargin, y_);
    y_ += shared_.front().height + kTrayGap + 6;
  }

  void placeHosts() {
    top_ = y_;
    const auto columns = static_cast<double>(columns_);
    const double content = columns * (trayWidth_ + kTrayGap) - kTrayGap;
    left_ = (width_ - content) / 2;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      const double spare = trayWidth_ - hosts_[i].width();
      hosts_[i].moveTo(trayX(i) + spare / 2, trayY(i) + (severalHosts_ ? kTrayPad : 0));
    }
    y_ = trayY(hosts_.size() - 1) + trayHeight_;
  }

  double trayX(std::size_t host) const {
    return left_ + static_cast<double>(host % columns_) * (trayWidth_ + kTrayGap);
  }
  double trayY(std::size_t host) const {
    return top_ + static_cast<double>(host / columns_) * (trayHeight_ + kTrayGap);
  }

  void drawHost(std::size_t host) {
    hosts_[host].draw(canvas_);
    if (severalHosts_)
      canvas_.text(trayX(host) + trayWidth_ / 2, trayY(host) + trayHeight_ - 7,
                   fmt::format("host{}", host), svg::kNameFont);
  }

  /// The NVLinks out of a row of machines are gathered above it, and led to the NVSwitches along
  /// the left edge.
  void rails() {
    for (std::size_t host = 0; severalHosts_ && host < hosts_.size(); ++host)
      canvas_.rectangle(trayX(host), trayY(host), trayWidth_, trayHeight_, "#ffffff", "#8a8a8a", {},
                        10);
    if (shared_.empty()) return;
    const std::string_view colour = colourOf(LinkKind::nvlink);
    const double trunk = left_ - kMargin / 2;
    double lowest = 0;
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
      const double rail = trayY(host) - 12;
      double end = 0;
      for (const HostPicture::Exit& exit : hosts_[host].exits()) {
        canvas_.line(fmt::format("M {:.1f} {:.1f} V {:.1f}", exit.x, exit.y, rail),
                     {.colour = colour, .width = std::min(1 + 0.15 * exit.pair->there->count, 5.0)},
                     svg::titleOf(graph_, *exit.pair));
        end = std::max(end, exit.x);
      }
      if (end == 0) continue;
      canvas_.line(fmt::format("M {:.1f} {:.1f} H {:.1f}", trunk, rail, end),
                   {.colour = colour, .width = 3});
      lowest = std::max(lowest, rail);
    }
    const double first = top_ - 12;
    canvas_.line(fmt::format("M {:.1f} {:.1f} V {:.1f}", trunk, first, std::max(first, lowest)),
                 {.colour = colour, .width = 3});
    for (const Box& chip : shared_)
      canvas_.line(fmt::format("M {:.1f} {:.1f} H {:.1f} V {:.1f}", trunk, first, chip.middle(),
                               chip.bottom()),
                   {.colour = colour, .width = 3});
  }

  void network() {
    if (graph_.ofKind(NodeKind::network).empty()) return;
    const Colours colours = coloursOf(NodeKind::network);
    y_ += 18;
    canvas_.rectangle(left_, y_, width_ - 2 * left_, 26, colours.fill, colours.stroke, {}, 13);
    canvas_.text(width_ / 2, y_ + 17, "network: all NICs lead to it", svg::kNameFont);
    y_ += 26;
  }

  /// Puts `text` behind a swatch that `draw` draws, in the next place of the legend.
  template <class Draw>
  void legendEntry(double& x, double swatch, const std::string& text, Draw draw) {
    const double width = swatch + svg::textWidth(text, kLegend) + 12;
    if (x > kMargin && x + width > width_ - kMargin) x = kMargin, y_ += 18;
    draw(x);
    canvas_.text(x + swatch, y_, text, kLegend, Anchor::start);
    x += width;
  }

  void legend() {
    double x = kMargin;
    y_ += 34;
    for (const NodeKind kind :
         {NodeKind::cpu, NodeKind::pciSwitch, NodeKind::gpu, NodeKind::nic, NodeKind::nvSwitch}) {
      if (graph_.ofKind(kind).empty()) continue;
      const Colours colours = coloursOf(kind);
      legendEntry(x, 26, std::string(name(kind)), [&](double at) {
        canvas_.rectangle(at, y_ - 10, 20, 12, colours.fill, colours.stroke, {}, 3);
      });
    }
    std::set<LinkKind> kinds;
    for (const Pair& pair : pairs_) kinds.insert(pair.kind);
    for (const LinkKind kind : {LinkKind::nvlink, LinkKind::xgmi, LinkKind::interCpu}) {
      if (!kinds.contains(kind)) continue;
      const bool counted = kind != LinkKind::interCpu;
      legendEntry(x, 26, fmt::format("{}{}", name(kind), counted ? ", wider where more" : ""),
                  [&](double at) {
                    canvas_.line(fmt::format("M {:.1f} {:.1f} h 20", at, y_ - 4),
                                 {.colour = colourOf(kind), .width = 3});
                  });
    }
    const bool anyWidth = std::any_of(pairs_.begin(), pairs_.end(), [&](const Pair& pair) {
      return pair.kind == LinkKind::pcie && !widthOf(graph_, *pair.there).empty();
    });
    if (anyWidth)
      legendEntry(x, 0, "x16 Gen5: PCIe, up to the switch or CPU around it", [](double) {});
  }

  void remarks() {
    std::vector<std::string> texts = graph_.remarks();
    const bool left = std::any_of(hosts_.begin(), hosts_.end(),
                                  [](const HostPicture& host) { return host.linksLeftOut(); });
    if (left) texts.insert(texts.begin(), "NVLinks are not drawn: there are too many GPUs");
    if (texts.size() > kMostRemarksShown) {
      const std::size_t more = texts.size() - kMostRemarksShown + 1;
      texts.resize(kMostRemarksShown - 1);
      texts.push_back(fmt::format("and {} remarks more", more));
    }
    const Font font{.size = 10.5, .fill = "#b3261e"};
    y_ += 6;
    for (const std::string& text : texts)
      for (const std::string& line : wrapped(text, width_ - 2 * kMargin, font)) {
        y_ += 16;
        canvas_.text(kMargin, y_, line, font, Anchor::start);
      }
  }

  const Graph& graph_;
  const svg::Boxes boxes_;
  const std::vector<Pair> pairs_;
  const bool severalHosts_;
  std::vector<HostPicture> hosts_;
  std::vector<Box> shared_;
  Canvas canvas_;
  std::size_t columns_ = 1;
  double width_ = 0, y_ = 0, top_ = 0, left_ = 0;
  double trayWidth_ = 0, trayHeight_ = 0;
};

}  // namespace

std::string writeSvg(const Graph& graph) {
  const auto require = [&](NodeKind kind, std::size_t most) {
    const std::size_t count = graph.ofKind(kind).size();
    if (count > most)
      fail(ErrorCode::invalidArgument,
           "{}: {}; a picture shows {} at most: draw single machines, or write JSON",
           printable(graph.inventory().source), plural(count, name(kind)), most);
  };
  require(NodeKind::gpu, kMostGpusInPicture);
  require(NodeKind::nvSwitch, kMostNvSwitchesInPicture);
  return Picture(graph).draw();
}

}  // namespace lockstep::topology
