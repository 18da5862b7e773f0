// GPUs that are known as PCI devices and nothing else, all of them: a cloud provider's hint file,
// or a machine without a driver.
#include <algorithm>

#include <fmt/format.h>

#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

constexpr std::uint16_t kAmd = 0x1002;

/// No probe asks AMD's driver, loaded or not.
void noteUnread(const Graph& graph, const std::vector<NodeId>& gpus,
                std::vector<Problem>& problems) {
  problems.push_back(
      {Severity::note,
       {},
       list(graph, gpus),
       fmt::format("{} known only as PCI {}: links of AMD GPUs are not read from this machine",
                   agree(gpus.size(), "is", "are"), agree(gpus.size(), "device", "devices")),
       "a dump of RCCL has them: run a program that uses it with NCCL_TOPO_DUMP_FILE=FILE, then "
       "ccbench topo --file FILE"});
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  std::vector<NodeId> bare = bareGpus(graph);
  if (bare.empty() || !knownGpus(graph).empty()) return;
  const bool live = graph.inventory().source == "this machine";
  if (live) {
    const auto others = std::stable_partition(bare.begin(), bare.end(), [&](NodeId id) {
      const auto row = static_cast<std::size_t>(graph.node(id).pci);
      return graph.inventory().pci[row].vendor == kAmd;
    });
    const std::vector<NodeId> amd(bare.begin(), others);
    bare.erase(bare.begin(), others);
    if (!amd.empty()) noteUnread(graph, amd, problems);
    if (bare.empty()) return;
  }
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
