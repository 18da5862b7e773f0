// What rings and trees must be, by the graph and findPath alone: nothing here looks at the search.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "topology/search/rings.hpp"
#include "topology/search/trees.hpp"

namespace lockstep::topology {

using Loads = std::map<const Link*, double>;

inline const Link* anyLink(const Graph& graph, NodeId from, NodeId to) {
  for (const LinkKind kind : {LinkKind::nvlink, LinkKind::xgmi, LinkKind::chipToChip,
                              LinkKind::interCpu, LinkKind::pcie, LinkKind::network})
    if (const Link* link = graph.link(from, to, kind)) return link;
  return nullptr;
}

/// Of what goes over the switches at a step side by side, each has a part: by the links through it.
inline double share(const Graph& graph, const Path& path, std::size_t step, NodeId chip) {
  const auto links = [&](NodeId each) {
    return std::min(anyLink(graph, path.steps[step - 1].front(), each)->count,
                    anyLink(graph, each, path.steps[step + 1].front())->count);
  };
  double sum = 0;
  for (const NodeId each : path.steps[step]) sum += links(each);
  return links(chip) / sum;
}

inline void load(const Graph& graph, const Path& path, double bandwidth, Loads& loads) {
  ASSERT_FALSE(path.steps.empty());
  for (std::size_t i = 1; i < path.steps.size(); ++i)
    for (const NodeId from : path.steps[i - 1])
      for (const NodeId to : path.steps[i]) {
        double part = 1;
        if (path.steps[i].size() > 1) part = share(graph, path, i, to);
        if (path.steps[i - 1].size() > 1) part = share(graph, path, i - 1, from);
        if (const Link* link = anyLink(graph, from, to)) loads[link] += bandwidth * part;
      }
}

inline void expectWithinLinks(const Loads& loads) {
  for (const auto& [link, bandwidth] : loads) {
    if (!link->bandwidth.known()) continue;
    EXPECT_LE(bandwidth, link->bandwidth.bytesPerSecond() * (1 + 1e-6))
        << name(link->kind) << " " << link->from << " to " << link->to;
  }
}

inline void expectWithinNics(const Graph& graph, const std::map<NodeId, double>& nics) {
  for (const auto& [nic, bandwidth] : nics) {
    if (graph.node(nic).bare) continue;  // of unknown speed
    const Bandwidth speed =
        graph.inventory().nics[static_cast<std::size_t>(graph.node(nic).row)].speed;
    if (!speed.known()) continue;
    EXPECT_LE(bandwidth, speed.bytesPerSecond() * (1 + 1e-6));
  }
}

inline void expectAllGpus(const Graph& graph, std::vector<NodeId> gpus) {
  std::vector<NodeId> all = graph.ofKind(NodeKind::gpu);
  std::sort(all.begin(), all.end());
  std::sort(gpus.begin(), gpus.end());
  EXPECT_EQ(gpus, all);
}

template <class Found>
void expectSumsRight(const Found& found, std::size_t count, Bandwidth each) {
  EXPECT_NEAR(found.total.gigabytesPerSecond(),
              each.gigabytesPerSecond() * static_cast<double>(count), 1e-6);
  if (found.bound.known()) {
    EXPECT_LE(found.total.bytesPerSecond(), found.bound.bytesPerSecond() * (1 + 1e-6));
  }
  EXPECT_GE(found.channels, static_cast<int>(count));
  EXPECT_EQ(found.channels % static_cast<int>(count), 0);
  EXPECT_THAT(found.reason, ::testing::IsEmpty());
}

inline void expectValid(const Graph& graph, const Rings& rings) {
  ASSERT_FALSE(rings.rings.empty()) << rings.reason;
  Loads loads;
  std::map<NodeId, double> in, out;
  for (const Ring& ring : rings.rings) {
    expectAllGpus(graph, ring.gpus);
    EXPECT_EQ(ring.bandwidth, rings.rings.front().bandwidth);
    const double bandwidth = ring.bandwidth.bytesPerSecond();
    PathType worst = PathType::loc;
    const auto pass = [&](NodeId from, NodeId to, bool pxn) {
      const Path path = findPath(graph, from, to, {.pxn = pxn});
      worst = std::max(worst, path.type);
      load(graph, path, bandwidth, loads);
    };
    for (std::size_t i = 1; i < ring.gpus.size(); ++i) pass(ring.gpus[i - 1], ring.gpus[i], false);
    if (ring.nicIn == kNone) {
      pass(ring.gpus.back(), ring.gpus.front(), false);
    } else {
      pass(ring.nicIn, ring.gpus.front(), true);
      pass(ring.gpus.back(), ring.nicOut, true);
      in[ring.nicIn] += bandwidth;
      out[ring.nicOut] += bandwidth;
    }
    EXPECT_EQ(worst, ring.worst);
  }
  expectWithinLinks(loads);
  expectWithinNics(graph, in);
  expectWithinNics(graph, out);
  expectSumsRight(rings, rings.rings.size(), rings.rings.front().bandwidth);
}

inline void expectValid(const Graph& graph, const Trees& trees) {
  ASSERT_FALSE(trees.trees.empty()) << trees.reason;
  Loads loads;
  std::map<NodeId, double> nics;
  for (const Tree& tree : trees.trees) {
    expectAllGpus(graph, tree.gpus);
    EXPECT_EQ(std::count(tree.parent.begin(), tree.parent.end(), kNone), 1);
    int deepest = 0;
    for (std::size_t i = 0; i < tree.gpus.size(); ++i) {
      int depth = 0;
      for (int at = tree.parent[i]; at != kNone; at = tree.parent[static_cast<std::size_t>(at)])
        ASSERT_LT(++depth, static_cast<int>(tree.gpus.size())) << "a cycle";
      deepest = std::max(deepest, depth);
      const bool root = tree.parent[i] == kNone;
      if (root && tree.nic == kNone) continue;
      const NodeId above = root ? tree.nic : tree.gpus[static_cast<std::size_t>(tree.parent[i])];
      load(graph, findPath(graph, tree.gpus[i], above, {.pxn = root}),
           tree.bandwidth.bytesPerSecond(), loads);
      load(graph, findPath(graph, above, tree.gpus[i], {.pxn = root}),
           tree.bandwidth.bytesPerSecond(), loads);
    }
    EXPECT_EQ(deepest, tree.depth);
    if (tree.nic != kNone) nics[tree.nic] += tree.bandwidth.bytesPerSecond();
  }
  expectWithinLinks(loads);
  expectWithinNics(graph, nics);
  expectSumsRight(trees, trees.trees.size(), trees.trees.front().bandwidth);
}

inline Rings validRings(const Graph& graph, const SearchOptions& options = {}) {
  Rings rings = findRings(graph, options);
  expectValid(graph, rings);
  return rings;
}

inline Trees validTrees(const Graph& graph, const Rings& rings) {
  Trees trees = findTrees(graph, rings);
  expectValid(graph, trees);
  return trees;
}

inline double gigabytes(Bandwidth bandwidth) {
  return bandwidth.gigabytesPerSecond();
}

}  // namespace lockstep::topology
