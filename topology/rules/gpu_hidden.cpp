// A GPU that PCI shows and the driver does not, while it shows others of that model.
#include <algorithm>

#include <fmt/format.h>

#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

void look(const Graph& graph, std::vector<Problem>& problems) {
  const std::vector<NodeId> known = knownGpus(graph);
  const auto pciOf = [&](NodeId id) -> const PciDevice& {
    return graph.inventory().pci[static_cast<std::size_t>(graph.node(id).pci)];
  };
  const auto sameModel = [&](NodeId a, NodeId b) {
    return pciOf(a).vendor == pciOf(b).vendor && pciOf(a).device == pciOf(b).device &&
           graph.node(a).host == graph.node(b).host;
  };
  std::vector<NodeId> hidden;
  for (const NodeId id : bareGpus(graph))
    if (std::any_of(known.begin(), known.end(), [&](NodeId gpu) { return sameModel(id, gpu); }))
      hidden.push_back(id);
  // Of lost ones the rule gpu-lost tells.
  const auto& lost = graph.inventory().driver.lost;
  const auto unplaced =
      std::count_if(lost.begin(), lost.end(), [](const LostGpu& gpu) { return !gpu.id; });
  if (static_cast<std::ptrdiff_t>(hidden.size()) <= unplaced) return;
  problems.push_back(
      {Severity::warning,
       {},
       list(graph, hidden),
       fmt::format("{} on PCI, but the driver does not show {}, while it shows {} of the model",
                   agree(hidden.size(), "is", "are"), agree(hidden.size(), "it", "them"),
                   known.size()),
       "in a container, show it all GPUs (--gpus all); or else a GPU has fallen off the bus: "
       "`dmesg | grep -i xid` (79), and a cold restart"});
}

}  // namespace

extern const Rule kRulesGpuHidden{
    "gpu-hidden", "a GPU on PCI that the driver does not show, beside others that it does", look};

}  // namespace lockstep::topology
