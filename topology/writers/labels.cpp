#include "topology/writers/labels.hpp"

#include <map>
#include <tuple>

#include <fmt/format.h>

#include "topology/writers/tree.hpp"

namespace lockstep::topology {
namespace {

/// Of whichever of both nodes is below the other; switches that are one chip are not.
std::string pcieWidth(const Graph& graph, const Link& link) {
  const bool upwards = graph.node(link.from).parent == link.to;
  if (!upwards && graph.node(link.to).parent != link.from) return {};
  const Node& lower = graph.node(upwards ? link.from : link.to);
  if (lower.pci == kNone) return {};
  return linkText(graph.inventory().pci[static_cast<std::size_t>(lower.pci)].link);
}

}  // namespace

std::string joined(std::string a, std::string_view between, std::string_view b) {
  if (!a.empty() && !b.empty()) a += between;
  return a += b;
}

std::string widthOf(const Graph& graph, const Link& link) {
  switch (link.kind) {
    case LinkKind::pcie:
      return pcieWidth(graph, link);
    case LinkKind::nvlink:
      return fmt::format("NV{}", link.count);
    case LinkKind::xgmi:
      return fmt::format("XGMI{}", link.count);
    case LinkKind::chipToChip:
      return "C2C";
    case LinkKind::interCpu:
    case LinkKind::network:
      break;
  }
  return {};
}

std::string rateOf(Bandwidth bandwidth) {
  return bandwidth.known() ? bandwidthText(bandwidth) : std::string();
}

bool Pair::symmetric() const {
  return back != nullptr && there->count == back->count && there->bandwidth == back->bandwidth;
}

std::vector<Pair> pairsOf(const Graph& graph) {
  std::map<std::tuple<NodeId, NodeId, LinkKind>, const Link*> all;
  for (const Link& link : graph.links())
    all.emplace(std::tuple(link.from, link.to, link.kind), &link);
  std::vector<Pair> pairs;
  for (const Link& link : graph.links()) {
    const auto back = all.find({link.to, link.from, link.kind});
    if (back != all.end() && link.from > link.to) continue;
    pairs.push_back(
        {link.from, link.to, link.kind, &link, back == all.end() ? nullptr : back->second});
  }
  return pairs;
}

std::string describe(const Graph& graph, const Pair& pair) {
  const auto one = [&](const Link& link) {
    return joined(widthOf(graph, link), " ", rateOf(link.bandwidth));
  };
  std::string text = one(*pair.there);
  if (pair.back == nullptr) return joined(text, ", ", "one way");
  return pair.symmetric() ? text : joined(text, ", ", joined("back", " ", one(*pair.back)));
}

}  // namespace lockstep::topology
