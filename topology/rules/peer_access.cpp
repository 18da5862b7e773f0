// Pairs of GPUs that may not read each other's memory, and why.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "topology/graph/path.hpp"
#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/fabric.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

using Pair = std::pair<NodeId, NodeId>;  // the lower one first

constexpr std::size_t kMostPairs = 6;

/// What the driver says of a pair.
struct Answer {
  Pair pair;
  bool allowed = false;
  std::string reason;  ///< in NVML's words, where it is not
};

/// Where a fabric is down, that is why, and another rule's.
std::vector<Answer> answers(const Graph& graph) {
  std::vector<NodeId> nodeOfRow(graph.inventory().gpus.size(), kNone);
  for (const NodeId id : knownGpus(graph))
    nodeOfRow[static_cast<std::size_t>(graph.node(id).row)] = id;
  std::set<NodeId> down;
  for (const NodeId id : knownGpus(graph))
    if (fabricIsDown(gpuOf(graph, id))) down.insert(id);
  std::vector<Answer> answers;
  for (const NodeId id : knownGpus(graph))
    for (const PeerAccess& peer : gpuOf(graph, id).peers) {
      const NodeId other = nodeOfRow[static_cast<std::size_t>(peer.gpu)];
      if (other == id || down.contains(id) || down.contains(other)) continue;
      answers.push_back({std::minmax(id, other), peer.allowed, peer.reason});
    }
  return answers;
}

/// Reasons that are a model's or a board's nature: GeForce cards, pairs across sockets.
bool isOfNature(const std::string& reason) {
  return reason == "GPU not supported" || reason == "topology not supported";
}

/// Which pairs ought to be equal: those of the same models, joined in the same way.
class Kinds {
 public:
  using Kind = std::tuple<std::size_t, std::size_t, PathType, bool>;

  explicit Kinds(const Graph& graph) : graph_(graph) {
    const std::vector<std::vector<NodeId>> groups = peerGroups(graph);
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (const NodeId id : groups[i]) model_[id] = i;
  }

  Kind of(const Pair& pair) const {
    const auto [low, high] = std::minmax(model_.at(pair.first), model_.at(pair.second));
    const PathType way = findPath(graph_, pair.first, pair.second, {.throughGpus = false}).type;
    return {low, high, way, socketOf(pair.first) == socketOf(pair.second)};
  }

 private:
  int socketOf(NodeId id) const {
    const NodeId cpu = graph_.node(id).cpu;
    if (cpu == kNone) return kNone;
    return graph_.inventory().cpus[static_cast<std::size_t>(graph_.node(cpu).row)].package;
  }

  const Graph& graph_;
  std::map<NodeId, std::size_t> model_;
};

/// Denied pairs, by whether that is their nature, since all of their kind are denied alike, and by
/// the reason.
using Denied = std::map<std::pair<bool, std::string>, std::set<Pair>>;

Denied deniedPairs(const Graph& graph) {
  const std::vector<Answer> all = answers(graph);
  const bool any = std::any_of(all.begin(), all.end(), [](const Answer& answer) {
    return !answer.allowed && isOfNature(answer.reason);
  });
  std::map<Kinds::Kind, std::set<std::pair<bool, std::string>>> said;
  const Kinds kinds(graph);
  if (any)
    for (const Answer& answer : all)
      said[kinds.of(answer.pair)].insert({answer.allowed, answer.allowed ? "" : answer.reason});
  Denied denied;
  for (const Answer& answer : all) {
    if (answer.allowed) continue;
    const bool nature = isOfNature(answer.reason) && said.at(kinds.of(answer.pair)).size() == 1;
    denied[{nature, answer.reason}].insert(answer.pair);
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
  for (const auto& [why, pairs] : deniedPairs(graph)) {
    const auto& [nature, reason] = why;
    const Words words = wordsOf(graph, pairs);
    problems.push_back(
        {meant || nature ? Severity::note : Severity::warning,
         {},
         words.subject,
         fmt::format("may not access {}, says the driver: {}", words.whom,
                     reason.empty() ? "it gives no reason" : reason),
         meant ? "nothing to mend: single-GPU confidential computing allows no peers"
         : nature
             ? "nothing to mend: it is so for all such pairs of this model and board, and "
               "copies go by way of the host"
             : "copies go by way of the host: look at `nvidia-smi topo -p2p r`, and in virtual "
               "machines and with PCIe access control (ACS) or an IOMMU at their settings"});
  }
}

}  // namespace

extern const Rule kRulesPeerAccess{"peer-access", "GPUs that may not access each other's memory",
                                   look};

}  // namespace lockstep::topology
