#include "topology/rules/evidence/nvlinks.hpp"

#include <algorithm>
#include <set>

#include "topology/rules/evidence/peers.hpp"

namespace lockstep::topology {
namespace {

bool isGpuLink(LinkKind kind) {
  return kind == LinkKind::nvlink || kind == LinkKind::xgmi;
}

std::int64_t countTo(const std::map<NodeId, std::int64_t>& to, NodeId target) {
  const auto found = to.find(target);
  return found == to.end() ? 0 : found->second;
}

/// The least that links spread over switches leave to one, given what each has.
std::int64_t leastEven(const std::vector<std::int64_t>& counts) {
  if (counts.empty()) return 0;
  const std::int64_t most = *std::max_element(counts.begin(), counts.end());
  const auto below =
      std::count_if(counts.begin(), counts.end(), [&](std::int64_t count) { return count < most; });
  const bool oneLess = std::find(counts.begin(), counts.end(), most - 1) != counts.end();
  // Where a machine is whole no switch is alone below the others: one that is has lost a link.
  return oneLess && below > 1 ? most - 1 : most;
}

std::vector<ThinSwitch> thinSwitchesOfHost(const Graph& graph, const std::vector<NodeId>& all) {
  std::vector<Linkage> gpus;
  for (const NodeId id : all) {
    Linkage linkage = linkageOf(graph, id);
    const bool switched = std::any_of(linkage.to.begin(), linkage.to.end(), [&](const auto& link) {
      return graph.node(link.first).kind == NodeKind::nvSwitch;
    });
    if (switched) gpus.push_back(std::move(linkage));
  }
  // What one GPU has fewer of may as well be its own fault.
  if (gpus.size() < 2) return {};
  std::vector<const Linkage*> pointers;
  for (const Linkage& gpu : gpus) pointers.push_back(&gpu);
  const std::map<NodeId, std::int64_t> usual = usualLinks(graph, pointers);
  std::vector<ThinSwitch> thin;
  std::vector<std::int64_t> typical;
  for (const NodeId chip : switchesOf(graph, graph.node(all.front()).host, all)) {
    typical.push_back(countTo(usual, chip));
    thin.push_back({.chip = chip, .has = typical.back(), .gpus = {}});
  }
  const std::int64_t least = leastEven(typical);
  std::erase_if(thin, [&](const ThinSwitch& each) { return each.has >= least; });
  for (ThinSwitch& each : thin) {
    each.expected = least;
    for (const Linkage& gpu : gpus)
      if (countTo(gpu.to, each.chip) < least) each.gpus.push_back(gpu.gpu);
  }
  return thin;
}

}  // namespace

std::int64_t leadingNowhere(const Graph& graph, NodeId id) {
  std::int64_t count = 0;
  for (const GpuLinks& links : gpuOf(graph, id).links) count += std::max(links.count, 0);
  for (const int position : graph.linksFrom(id)) {
    const Link& link = graph.links()[static_cast<std::size_t>(position)];
    if (isGpuLink(link.kind)) count -= link.count;
  }
  return count;
}

std::vector<Untold> untoldLinks(const Graph& graph) {
  std::vector<Untold> untold;
  for (const Link& link : graph.links()) {
    if (!isGpuLink(link.kind)) continue;
    const Node& to = graph.node(link.to);
    // What only PCI shows says nothing at all.
    if (to.kind != NodeKind::gpu || to.bare || graph.node(link.from).kind != NodeKind::gpu)
      continue;
    const Link* back = graph.link(link.to, link.from, link.kind);
    const std::int64_t says = back == nullptr ? 0 : back->count;
    if (says < link.count && leadingNowhere(graph, link.to) == 0)
      untold.push_back({link.to, link.from, link.kind, says, link.count});
  }
  return untold;
}

std::vector<ThinSwitch> thinSwitches(const Graph& graph) {
  std::vector<ThinSwitch> thin;
  for (const std::vector<NodeId>& gpus : gpusByHost(graph)) {
    std::vector<ThinSwitch> here = thinSwitchesOfHost(graph, gpus);
    thin.insert(thin.end(), here.begin(), here.end());
  }
  return thin;
}

Linkage linkageOf(const Graph& graph, NodeId id) {
  Linkage linkage{.gpu = id, .to = {}};
  for (const GpuLinks& links : gpuOf(graph, id).links) linkage.active += std::max(links.count, 0);
  for (const int position : graph.linksFrom(id)) {
    const Link& link = graph.links()[static_cast<std::size_t>(position)];
    const NodeKind kind = graph.node(link.to).kind;
    if (isGpuLink(link.kind) && (kind == NodeKind::nvSwitch || kind == NodeKind::gpu))
      linkage.to[link.to] += link.count;
  }
  return linkage;
}

std::map<NodeId, Linkage> linkages(const Graph& graph) {
  std::map<NodeId, Linkage> all;
  for (const NodeId id : knownGpus(graph)) all[id] = linkageOf(graph, id);
  for (const Untold& untold : untoldLinks(graph))
    all[untold.gpu].missingElsewhere += untold.peerSays - untold.says;
  for (const ThinSwitch& thin : thinSwitches(graph))
    for (const NodeId id : thin.gpus)
      all[id].missingElsewhere += thin.expected - countTo(all[id].to, thin.chip);
  return all;
}

std::map<NodeId, std::int64_t> usualLinks(const Graph& graph,
                                          const std::vector<const Linkage*>& gpus) {
  std::map<NodeId, std::vector<std::int64_t>> counts;
  for (const Linkage* gpu : gpus)
    for (const auto& [chip, count] : gpu->to)
      if (graph.node(chip).kind == NodeKind::nvSwitch) counts[chip].push_back(count);
  std::map<NodeId, std::int64_t> usual;
  for (const auto& [chip, some] : counts) {
    const std::int64_t most = mostCommon(some);
    const auto having = static_cast<std::size_t>(std::count(some.begin(), some.end(), most));
    if (having >= gpus.size() - some.size()) usual[chip] = most;
  }
  return usual;
}

bool isSwitched(const Graph& graph, const std::vector<NodeId>& gpus) {
  return std::any_of(gpus.begin(), gpus.end(), [&](NodeId id) {
    const std::vector<int>& out = graph.linksFrom(id);
    return std::any_of(out.begin(), out.end(), [&](int position) {
      const NodeId to = graph.links()[static_cast<std::size_t>(position)].to;
      return graph.node(to).kind == NodeKind::nvSwitch;
    });
  });
}

std::vector<NodeId> switchesOf(const Graph& graph, int host, const std::vector<NodeId>& gpus) {
  std::set<NodeId> linked;
  for (const NodeId id : gpus)
    for (const int position : graph.linksFrom(id))
      linked.insert(graph.links()[static_cast<std::size_t>(position)].to);
  std::vector<NodeId> chips;
  for (const NodeId chip : graph.ofKind(NodeKind::nvSwitch)) {
    const Node& node = graph.node(chip);
    if (linked.contains(chip) || (node.pci != kNone && node.host == host)) chips.push_back(chip);
  }
  return chips;
}

const char* nounOf(const Graph& graph, const std::vector<NodeId>& gpus) {
  const auto first = std::find_if(gpus.begin(), gpus.end(),
                                  [&](NodeId id) { return !gpuOf(graph, id).links.empty(); });
  const bool xgmi =
      first != gpus.end() && gpuOf(graph, *first).links.front().kind == GpuLinkKind::xgmi;
  return xgmi ? "xGMI link" : "NVLink";
}

}  // namespace lockstep::topology
