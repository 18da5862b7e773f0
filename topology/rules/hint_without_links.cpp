// GPUs that are known as PCI devices and nothing else, all of them: a cloud provider's hint file,
// or a machine without a driver.
#include <fmt/format.h>

#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

void look(const Graph& graph, std::vector<Problem>& problems) {
  const std::vector<NodeId> bare = bareGpus(graph);
  if (bare.empty() || !knownGpus(graph).empty()) return;
  const bool live = graph.inventory().source == "this machine";
  problems.push_back(
      {Severity::warning,
       {},
       list(graph, bare),
       fmt::format("{} known only as PCI {}: no NVLinks, no compute capability{}",
                   agree(bare.size(), "is", "are"), agree(bare.size(), "device", "devices"),
                   live ? ", since no driver tells of them" : ", as in a provider's hint file"),
       live ? "load the GPUs' driver: `nvidia-smi` must list them"
            : "merge it with live data on that machine: ccbench topo --file FILE --live"});
}

}  // namespace

extern const Rule kRulesHintWithoutLinks{"hint-without-links",
                                         "GPUs that are known only as PCI devices", look};

}  // namespace lockstep::topology
