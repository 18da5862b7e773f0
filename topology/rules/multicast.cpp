// Why NVLink multicast (NVLS, multimem) will not be there. What is broken is the rule fabric's,
// what is missing nvlink-missing's: here is what is so by design.
#include <algorithm>

#include <fmt/format.h>

#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/fabric.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

constexpr int kFirstWithMulticast = 90;

bool anyLinks(const Graph& graph, const std::vector<NodeId>& gpus) {
  return std::any_of(gpus.begin(), gpus.end(), [&](NodeId id) {
    const auto& links = gpuOf(graph, id).links;
    return std::any_of(links.begin(), links.end(),
                       [](const GpuLinks& each) { return each.count > 0; });
  });
}

bool anyWithTargets(const Graph& graph, const std::vector<NodeId>& gpus) {
  return std::any_of(gpus.begin(), gpus.end(),
                     [&](NodeId id) { return !linkageOf(graph, id).to.empty(); });
}

/// Empty where there may be multicast, or where something broken that others tell of is why not.
std::string whyNot(const Graph& graph, const std::vector<NodeId>& gpus) {
  if (confidentiality(graph.inventory()) != Confidentiality::none)
    return "the driver refuses it in every mode of confidential computing";
  const int sm = gpuOf(graph, gpus.front()).sm;
  if (sm > 0 && sm < kFirstWithMulticast)
    return fmt::format("it needs sm_90, and {} sm_{}", agree(gpus.size(), "this is", "these are"),
                       sm);
  const bool fabricDown = std::any_of(gpus.begin(), gpus.end(),
                                      [&](NodeId id) { return fabricIsDown(gpuOf(graph, id)); });
  if (fabricDown) return "";
  if (isSwitched(graph, gpus)) {
    const bool noFabric = std::all_of(gpus.begin(), gpus.end(), [&](NodeId id) {
      const auto& fabric = gpuOf(graph, id).fabric;
      return fabric && fabric->state == FabricState::State::notSupported;
    });
    return noFabric ? "the driver says that it does not support an NVLink fabric here" : "";
  }
  // Links of which nobody knows where they lead may lead to NVSwitches.
  if (anyLinks(graph, gpus) && !anyWithTargets(graph, gpus)) return "";
  // Or NVSwitches are there, and all links to them are down.
  if (!switchesOf(graph, graph.node(gpus.front()).host, gpus).empty()) return "";
  return "no NVSwitch joins the GPUs";
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  for (const std::vector<NodeId>& gpus : peerGroups(graph)) {
    if (gpus.size() < 2 || !isNvidia(graph, gpus.front())) continue;
    const std::string reason = whyNot(graph, gpus);
    if (reason.empty()) continue;
    problems.push_back(
        {Severity::note,
         {},
         list(graph, gpus),
         "will have no NVLink multicast: " + reason,
         "nothing to mend: algorithms without it are used. The driver's attribute is not trusted, "
         "the library probes by really binding"});
  }
}

}  // namespace

extern const Rule kRulesMulticast{"multicast", "why NVLink multicast will not be there", look};

}  // namespace lockstep::topology
