// GPUs that the driver counts and cannot talk to: they fell off the bus, or need a reset.
#include <fmt/format.h>

#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// "GPU5 (0000:a8:00.0)", "the driver's GPU 2": numbers of nodes leave out what has no bus id.
std::string subjectOf(const Graph& graph, const LostGpu& lost) {
  if (lost.id)
    for (const NodeId id : graph.ofKind(NodeKind::gpu))
      if (graph.node(id).bus == *lost.id)
        return fmt::format("{} ({})", graph.node(id).name, print(*lost.id));
  return fmt::format("the driver's GPU {}", lost.number);
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  for (const LostGpu& lost : graph.inventory().driver.lost)
    problems.push_back({Severity::error,
                        {},
                        subjectOf(graph, lost),
                        "does not work: " + lost.reason,
                        "look at `dmesg | grep -i xid` (79: fallen off the bus), reset it "
                        "(nvidia-smi -r) or restart the machine cold; if it comes back, check its "
                        "seat, power and cooling, or have it replaced"});
}

}  // namespace

extern const Rule kRulesGpuLost{"gpu-lost", "GPUs that the driver counts and cannot talk to", look};

}  // namespace lockstep::topology
