// Devices of which nobody says which NUMA node they are on: no path leads to them.
#include <fmt/format.h>

#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

void look(const Graph& graph, std::vector<Problem>& problems) {
  std::vector<NodeId> unplaced;
  for (const NodeKind kind : {NodeKind::gpu, NodeKind::nic})
    for (const NodeId id : graph.ofKind(kind))
      // NICs without a PCI device are software, and nowhere.
      if (graph.node(id).cpu == kNone && graph.node(id).pci != kNone) unplaced.push_back(id);
  if (unplaced.empty()) return;
  problems.push_back(
      {Severity::warning,
       {},
       list(graph, unplaced),
       fmt::format("{} on no known NUMA node, so paths that cross CPUs are not known",
                   agree(unplaced.size(), "is", "are")),
       "the firmware (in a virtual machine the hypervisor) has to say it: `cat "
       "/sys/bus/pci/devices/*/numa_node` must not be -1; or give a hint file: ccbench topo "
       "--file FILE --live"});
}

}  // namespace

extern const Rule kRulesUnplaced{"unplaced", "GPUs and NICs on no known NUMA node", look};

}  // namespace lockstep::topology
