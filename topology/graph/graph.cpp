#include "topology/graph/graph.hpp"

#include <array>

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
  for (const int position : linksFrom(from)) {
    const Link& candidate = links_[static_cast<std::size_t>(position)];
    if (candidate.to == to && candidate.kind == kind) return &candidate;
  }
  return nullptr;
}

}  // namespace lockstep::topology
