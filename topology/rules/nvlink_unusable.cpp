// NVLinks that lead to the GPU itself, or to where no GPU is: nobody knows whom they reach.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

using Places = std::set<std::pair<int, BusId>>;

struct Unusable {
  std::int64_t toItself = 0;
  std::int64_t toNowhere = 0;
  GpuLinkKind kind = GpuLinkKind::nvlink;
  friend bool operator==(const Unusable&, const Unusable&) = default;
};

Unusable unusableOf(const Graph& graph, NodeId id, const Places& known) {
  const Node& node = graph.node(id);
  Unusable unusable;
  for (const GpuLinks& links : gpuOf(graph, id).links) {
    const bool toGpu =
        links.targetClass != pci_class::kNvSwitch && links.targetClass != pci_class::kCpu;
    if (links.count <= 0 || !toGpu) continue;
    const bool itself = links.target == node.bus;
    if (!itself && known.contains({node.host, links.target})) continue;
    (itself ? unusable.toItself : unusable.toNowhere) += links.count;
    unusable.kind = links.kind;
  }
  return unusable;
}

Problem problem(const Graph& graph, const Unusable& found, const std::vector<NodeId>& gpus) {
  const char* noun = found.kind == GpuLinkKind::xgmi ? "xGMI link" : "NVLink";
  const std::string_view has = agree(gpus.size(), "has", "have");
  const std::string_view each = agree(gpus.size(), "", " each");
  if (found.toNowhere == 0)
    return {Severity::warning,
            {},
            list(graph, gpus),
            fmt::format(
                "{} {}{} that {} back to {}: a virtual machine hides the peers; left out of all "
                "paths",
                has, counted(found.toItself, noun), each, found.toItself == 1 ? "leads" : "lead",
                agree(gpus.size(), "itself", "the GPU itself")),
            "have the hypervisor show the peers, or take a file of the bare machine; "
            "`nvidia-smi topo -p2p n` tells which peers they really reach"};
  std::string what =
      fmt::format("{} {}{} to where no GPU is", has, counted(found.toNowhere, noun), each);
  if (found.toItself > 0) what += fmt::format(", and {} back to itself", found.toItself);
  return {Severity::warning,
          {},
          list(graph, gpus),
          what + ": left out of all paths",
          "if this is a container or a dump that shows some GPUs only, look at the whole machine; "
          "or else the bus ids of the file are wrong"};
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  Places places;
  for (const NodeKind kind : {NodeKind::gpu, NodeKind::nvSwitch})
    for (const NodeId id : graph.ofKind(kind))
      places.insert({graph.node(id).host, graph.node(id).bus});
  Alike<Unusable> found;
  for (const NodeId id : knownGpus(graph)) {
    if (leadingNowhere(graph, id) == 0) continue;
    const Unusable unusable = unusableOf(graph, id, places);
    if (unusable.toItself + unusable.toNowhere > 0) found.add(unusable, id);
  }
  for (const auto& [unusable, gpus] : found) problems.push_back(problem(graph, unusable, gpus));
}

}  // namespace

extern const Rule kRulesNvlinkUnusable{"nvlink-unusable",
                                       "NVLinks of which nobody knows where they lead", look};

}  // namespace lockstep::topology
