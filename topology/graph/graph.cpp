#include "topology/graph/graph.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "topology/graph/graph_builder.hpp"

namespace lockstep::topology {

std::string_view name(NodeKind kind) {
  constexpr std::array<std::string_view, 6> kNames{"CPU",      "PCIe switch", "GPU",
                                                   "NVSwitch", "NIC",         "network"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name(LinkKind kind) {
  constexpr std::array<std::string_view, 6> kNames{"PCIe", "NVLink",    "xGMI",
                                                   "C2C",  "inter-CPU", "network"};
  return kNames[static_cast<std::size_t>(kind)];
}

Graph::Graph(Inventory inventory) : inventory_(std::move(inventory)) {
  requireSound(inventory_);
  kinds_.resize(static_cast<std::size_t>(NodeKind::network) + 1);
  GraphBuilder(*this).build();
}

const Link* Graph::link(NodeId from, NodeId to, LinkKind kind) const {
  const auto before = [&](int position, const std::pair<NodeId, LinkKind>& wanted) {
    const Link& each = links_[static_cast<std::size_t>(position)];
    return std::pair(each.to, each.kind) < wanted;
  };
  const std::vector<int>& all = linksByTarget(from);
  const auto place = std::lower_bound(all.begin(), all.end(), std::pair(to, kind), before);
  if (place == all.end()) return nullptr;
  const Link& found = links_[static_cast<std::size_t>(*place)];
  return found.to == to && found.kind == kind ? &found : nullptr;
}

}  // namespace lockstep::topology
