// What the fabric manager says of the GPUs: registration, health, partitions.
#include "topology/rules/evidence/fabric.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

constexpr const char* kRegister =
    "start the fabric manager (systemctl start nvidia-fabricmanager) and wait until `nvidia-smi -q "
    "| grep -A 9 Fabric` says Completed and Success; its log is /var/log/fabricmanager.log";
constexpr const char* kHealth =
    "look at `nvidia-smi -q | grep -A 9 Fabric` and the fabric manager's log "
    "(/var/log/fabricmanager.log), reset the GPU";

/// What a lost NVLink does not explain already.
std::vector<FabricFault> faultsOf(const Graph& graph, const Linkage& linkage, bool lostLinks) {
  std::vector<FabricFault> faults = fabricFaults(gpuOf(graph, linkage.gpu));
  if (lostLinks)
    std::erase_if(faults,
                  [](const FabricFault& fault) { return fault.kind == FabricFault::Kind::links; });
  return faults;
}

bool hasLostLinks(const Graph& graph, const Linkage& linkage, std::int64_t usual) {
  return !gpuOf(graph, linkage.gpu).deadLinks.empty() || linkage.missingElsewhere > 0 ||
         linkage.active < usual;
}

Problem problem(const Graph& graph, const std::vector<FabricFault>& faults,
                const std::vector<NodeId>& gpus) {
  std::string registration;
  std::vector<std::string> health;
  Severity severity = Severity::note;
  for (const FabricFault& fault : faults) {
    severity = std::max(severity, fault.severity);
    if (fault.kind == FabricFault::Kind::registration)
      registration = fault.words + ", so there is no NVLink to others, and no multicast";
    else
      health.push_back(fault.words);
  }
  std::string what = registration;
  if (!health.empty())
    what += fmt::format("{}{} trouble in the NVLink fabric: {}", what.empty() ? "" : "; ",
                        agree(gpus.size(), "has", "have"), fmt::join(health, ", "));
  return {
      severity, {}, list(graph, gpus), std::move(what), registration.empty() ? kHealth : kRegister};
}

void judgePartitions(const Graph& graph, const std::vector<NodeId>& gpus,
                     std::vector<Problem>& problems) {
  const std::vector<Partition> all = partitions(graph, gpus);
  if (all.size() < 2) return;
  const bool oneCluster = std::all_of(all.begin(), all.end(), [&](const Partition& each) {
    return each.clusterUuid == all.front().clusterUuid;
  });
  std::vector<NodeId> members;
  std::vector<std::string> parts;
  for (const Partition& each : all) {
    members.insert(members.end(), each.gpus.begin(), each.gpus.end());
    parts.push_back(fmt::format("{} in {}clique {}", list(graph, each.gpus),
                                oneCluster ? "" : fmt::format("cluster {} ", each.clusterUuid),
                                each.clique));
  }
  problems.push_back(
      {Severity::warning,
       {},
       list(graph, members),
       fmt::format("are in {} partitions of the NVLink fabric: {}; there is no NVLink "
                   "and no multicast between them",
                   all.size(), fmt::join(parts, ", ")),
       "run one job in each, or have the fabric manager put them in one partition"});
}

void judgeUnregistered(const Graph& graph, const std::vector<NodeId>& gpus,
                       std::vector<Problem>& problems) {
  std::vector<NodeId> without;
  std::int64_t with = 0;
  for (const NodeId id : gpus) {
    const auto& fabric = gpuOf(graph, id).fabric;
    if (!fabric) continue;
    if (fabric->state == FabricState::State::notSupported) without.push_back(id);
    if (fabric->state == FabricState::State::completed) ++with;
  }
  if (with == 0 || without.empty()) return;
  problems.push_back({Severity::error,
                      {},
                      list(graph, without),
                      fmt::format("{} part of no NVLink fabric, while {} of the model {}",
                                  agree(without.size(), "is", "are"), with,
                                  agree(static_cast<std::size_t>(with), "is", "are")),
                      kHealth});
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  const std::map<NodeId, Linkage> all = linkages(graph);
  Alike<std::vector<FabricFault>> found;
  for (const std::vector<NodeId>& gpus : peerGroups(graph)) {
    std::vector<std::int64_t> totals;
    for (const NodeId id : gpus) totals.push_back(all.at(id).active);
    const std::int64_t usual = mostCommon(totals);
    for (const NodeId id : gpus) {
      const Linkage& linkage = all.at(id);
      const std::vector<FabricFault> faults =
          faultsOf(graph, linkage, hasLostLinks(graph, linkage, usual));
      if (!faults.empty()) found.add(faults, id);
    }
    judgeUnregistered(graph, gpus, problems);
  }
  for (const auto& [faults, gpus] : found) problems.push_back(problem(graph, faults, gpus));
  for (const std::vector<NodeId>& gpus : gpusByHost(graph)) judgePartitions(graph, gpus, problems);
}

}  // namespace

extern const Rule kRulesFabric{"fabric", "what the NVLink fabric manager says of the GPUs", look};

}  // namespace lockstep::topology
