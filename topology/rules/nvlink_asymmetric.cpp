// Two GPUs that do not agree on how many NVLinks join them.
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// All that one GPU does not tell of is one problem: it is that GPU whose end is down.
Problem problem(const Graph& graph, NodeId gpu, const std::vector<Untold>& untold) {
  constexpr std::size_t kMostPeers = 8;
  const char* noun = untold.front().kind == LinkKind::xgmi ? "xGMI link" : "NVLink";
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < untold.size() && i < kMostPeers; ++i)
    parts.push_back(fmt::format("{} to {}, which says {}", counted(untold[i].says, noun),
                                graph.node(untold[i].peer).name, untold[i].peerSays));
  if (untold.size() > kMostPeers)
    parts.push_back(fmt::format("the same with {} more", untold.size() - kMostPeers));
  std::string what = fmt::format("says it has {}", fmt::join(parts, "; "));
  if (const std::vector<int>& dead = gpuOf(graph, gpu).deadLinks; !dead.empty())
    what += fmt::format("; its {} {} {} down", agree(dead.size(), "link", "links"),
                        fmt::join(dead, ", "), agree(dead.size(), "is", "are"));
  return {Severity::error,
          {},
          graph.node(gpu).name,
          std::move(what),
          "only what both ends have is used: look at `nvidia-smi nvlink -s` (or `rocm-smi "
          "--showtopo`) of both, reset them; a file that was edited by hand may be wrong"};
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  std::map<NodeId, std::vector<Untold>> byGpu;
  for (const Untold& untold : untoldLinks(graph)) byGpu[untold.gpu].push_back(untold);
  for (const auto& [gpu, untold] : byGpu) problems.push_back(problem(graph, gpu, untold));
}

}  // namespace

extern const Rule kRulesNvlinkAsymmetric{
    "nvlink-asymmetric", "two GPUs that do not agree on the links between them", look};

}  // namespace lockstep::topology
