// Rings and trees as text.

#include <algorithm>

#include <fmt/format.h>

#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"

namespace lockstep::topology {
namespace {

std::string speed(Bandwidth bandwidth) {
  return bandwidth.known() ? fmt::format("{:.1f} GB/s", bandwidth.gigabytesPerSecond())
                           : std::string("unknown");
}

std::string plural(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

/// "6 rings, 120.0 GB/s in all, the most that GPU0 can carry; 12 channels"
template <class Found>
std::string sums(const Found& found, std::size_t count, std::string_view what) {
  if (count == 0) return fmt::format("no {}s: {}\n", what, found.reason);
  std::string text = plural(count, what);
  text += found.total.known() ? fmt::format(", {} in all", speed(found.total))
                              : std::string(", bandwidth not known");
  if (found.bound.known())
    text += found.efficiency() > 1 - 1e-9
                ? fmt::format(", the most that {} can carry", found.narrow)
                : fmt::format(", {:.0f} % of a bound: {}, the most that {} can carry",
                              100 * found.efficiency(), speed(found.bound), found.narrow);
  return text + "; " + plural(static_cast<std::size_t>(found.channels), "channel") + "\n";
}

std::string wayOf(const Graph& graph, const Ring& ring) {
  std::string text;
  if (ring.nicIn != kNone) text += graph.node(ring.nicIn).name + " > ";
  for (const NodeId gpu : ring.gpus)
    text += (gpu == ring.gpus.front() ? "" : " ") + graph.node(gpu).name;
  if (ring.nicOut != kNone) text += " > " + graph.node(ring.nicOut).name;
  return text;
}

/// Children in parentheses. Trees are at most kMostSearchedGpus deep.
std::string subtree(const Graph& graph, const Tree& tree, std::size_t root) {
  std::string text = graph.node(tree.gpus[root]).name;
  std::string children;
  for (std::size_t i = 0; i < tree.gpus.size(); ++i)
    if (tree.parent[i] == static_cast<int>(root))
      children += (children.empty() ? "" : " ") + subtree(graph, tree, i);
  return children.empty() ? text : text + " (" + children + ")";
}

std::string wayOf(const Graph& graph, const Tree& tree) {
  const auto root = std::find(tree.parent.begin(), tree.parent.end(), kNone);
  const std::string text =
      subtree(graph, tree, static_cast<std::size_t>(root - tree.parent.begin()));
  return tree.nic == kNone ? text : graph.node(tree.nic).name + " > " + text;
}

template <class Each>
std::string lines(const Graph& graph, const std::vector<Each>& all, std::string_view what) {
  std::vector<std::string> ways;
  std::size_t widest = 0;
  for (const Each& each : all) {
    ways.push_back(wayOf(graph, each));
    widest = std::max(widest, ways.back().size());
  }
  const std::size_t digits = std::to_string(all.size() - 1).size();
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i)
    text += fmt::format("{} {:{}}: {:{}}  {}  {}\n", what, i, digits, ways[i], widest,
                        speed(all[i].bandwidth), name(all[i].worst));
  return text;
}

}  // namespace

std::string print(const Graph& graph, const Rings& rings) {
  std::string text = sums(rings, rings.rings.size(), "ring");
  return rings.rings.empty() ? text : text + lines(graph, rings.rings, "ring");
}

std::string print(const Graph& graph, const Trees& trees) {
  std::string text = sums(trees, trees.trees.size(), "tree");
  return trees.trees.empty() ? text : text + lines(graph, trees.trees, "tree");
}

}  // namespace lockstep::topology
