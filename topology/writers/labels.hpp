// What drawings say of links: short.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "topology/graph/graph.hpp"

namespace lockstep::topology {

/// "NV18", "XGMI2", "C2C", "x16 Gen5", or empty where nothing is known.
std::string widthOf(const Graph& graph, const Link& link);
/// "370.8 GB/s", or empty where not known.
std::string rateOf(Bandwidth bandwidth);
/// `a` and `b` with `between`, which is left out where one of them is empty.
std::string joined(std::string a, std::string_view between, std::string_view b);

/// The links of one kind between two nodes: drawings show them as one.
struct Pair {
  NodeId a = kNone;
  NodeId b = kNone;
  LinkKind kind = LinkKind::pcie;
  const Link* there = nullptr;  ///< from a to b; always there
  const Link* back = nullptr;   ///< null where only one end tells it
  /// Both directions alike.
  bool symmetric() const;
};
/// All of them, `a` before `b` where both directions are there, in the order of the links.
std::vector<Pair> pairsOf(const Graph& graph);
/// "NV18 370.8 GB/s"; both directions where they differ: "NV18 370.8 GB/s, back NV17 350.2 GB/s".
std::string describe(const Graph& graph, const Pair& pair);

}  // namespace lockstep::topology
