// Pairs of GPUs that may not read each other's memory, and why.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/fabric.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

using Pair = std::pair<NodeId, NodeId>;  // the lower one first

constexpr std::size_t kMostPairs = 6;

/// Denied pairs by NVML's reason. Where a fabric is down, that is why, and another rule's.
std::map<std::string, std::set<Pair>> deniedPairs(const Graph& graph) {
  std::vector<NodeId> nodeOfRow(graph.inventory().gpus.size(), kNone);
  for (const NodeId id : knownGpus(graph))
    nodeOfRow[static_cast<std::size_t>(graph.node(id).row)] = id;
  std::set<NodeId> down;
  for (const NodeId id : knownGpus(graph))
    if (fabricIsDown(gpuOf(graph, id))) down.insert(id);
  std::map<std::string, std::set<Pair>> denied;
  for (const NodeId id : knownGpus(graph))
    for (const PeerAccess& peer : gpuOf(graph, id).peers) {
      const NodeId other = nodeOfRow[static_cast<std::size_t>(peer.gpu)];
      if (peer.allowed || other == id || down.contains(id) || down.contains(other)) continue;
      denied[peer.reason].insert(std::minmax(id, other));
    }
  return denied;
}

struct Words {
  std::string subject;
  std::string whom;
};

/// "all of GPU0..GPU7", "GPU3 with 7 others", or the pairs one by one.
Words wordsOf(const Graph& graph, const std::set<Pair>& pairs) {
  std::map<NodeId, std::size_t> uses;
  for (const auto& [a, b] : pairs) ++uses[a], ++uses[b];
  std::vector<NodeId> members;
  for (const auto& [id, count] : uses) members.push_back(id);
  const std::size_t n = members.size();
  if (n > 2 && pairs.size() == n * (n - 1) / 2)
    return {list(graph, members), "each other's memory"};
  for (const NodeId id : members) {
    if (uses[id] != pairs.size() || pairs.size() < 2) continue;
    std::vector<NodeId> others;
    for (const NodeId other : members)
      if (other != id) others.push_back(other);
    return {graph.node(id).name,
            fmt::format("the memory of {}, nor they its", list(graph, others))};
  }
  std::vector<std::string> names;
  for (const auto& [a, b] : pairs) {
    if (names.size() == kMostPairs) break;
    names.push_back(fmt::format("{}-{}", graph.node(a).name, graph.node(b).name));
  }
  std::string subject;
  for (const std::string& name : names) subject += (subject.empty() ? "" : ", ") + name;
  if (pairs.size() > kMostPairs)
    subject += fmt::format(" and {} more pairs", pairs.size() - kMostPairs);
  return {subject, "each other's memory"};
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  const bool meant = confidentiality(graph.inventory()) == Confidentiality::singleGpu;
  for (const auto& [reason, pairs] : deniedPairs(graph)) {
    const Words words = wordsOf(graph, pairs);
    problems.push_back(
        {meant ? Severity::note : Severity::warning,
         {},
         words.subject,
         fmt::format("may not access {}, says the driver: {}", words.whom,
                     reason.empty() ? "it gives no reason" : reason),
         meant ? "nothing to mend: single-GPU confidential computing allows no peers"
               : "copies go by way of the host: look at `nvidia-smi topo -p2p r`, and in virtual "
                 "machines and with PCIe access control (ACS) or an IOMMU at their settings"});
  }
}

}  // namespace

extern const Rule kRulesPeerAccess{"peer-access", "GPUs that may not access each other's memory",
                                   look};

}  // namespace lockstep::topology
