// GPUs that agree on how many NVLinks they have, and no GPU of their generation has that few: what
// is lost for all of them, a whole NVSwitch above all, no comparison of peers shows.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// NVLinks of the GPUs that go on boards with NVSwitches, by compute capability: data sheets of
/// V100 (300 GB/s both ways), A100 (600), H100 (900), B200 and B300 (1800).
struct Generation {
  int sm = 0;
  std::int64_t links = 0;
  std::int64_t restricted = 0;  ///< of the models for export (A800 and H800: 400 GB/s); or 0
};
constexpr std::array kGenerations{Generation{70, 6, 0}, Generation{80, 12, 8},
                                  Generation{90, 18, 8}, Generation{100, 18, 0},
                                  Generation{103, 18, 0}};

const Generation* generationOf(int sm) {
  const auto* const found = std::find_if(kGenerations.begin(), kGenerations.end(),
                                         [&](const Generation& each) { return each.sm == sm; });
  return found == kGenerations.end() ? nullptr : found;
}

/// The links that each has; 0 where they differ, or where another rule tells of those that lack.
std::int64_t linksOfEach(const Graph& graph, const std::vector<NodeId>& gpus) {
  std::int64_t links = 0;
  for (const NodeId id : gpus) {
    const Linkage linkage = linkageOf(graph, id);
    const bool told = linkage.missingElsewhere > 0 || !gpuOf(graph, id).deadLinks.empty();
    if (told || (id != gpus.front() && linkage.active != links)) return 0;
    links = linkage.active;
  }
  return links;
}

void look(const Graph& graph, std::vector<Problem>& problems) {
  if (confidentiality(graph.inventory()) == Confidentiality::singleGpu) return;
  for (const std::vector<NodeId>& gpus : peerGroups(graph)) {
    const Generation* generation = generationOf(gpuOf(graph, gpus.front()).sm);
    if (generation == nullptr || !isNvidia(graph, gpus.front()) || !isSwitched(graph, gpus))
      continue;
    const std::int64_t has = linksOfEach(graph, gpus);
    if (has == 0 || has >= generation->links || has == generation->restricted) continue;
    problems.push_back(
        {Severity::warning,
         {},
         list(graph, gpus),
         fmt::format("{} {}, where GPUs of sm_{} beside NVSwitches have {}: an NVSwitch that none "
                     "of them reaches looks like that",
                     agree(gpus.size(), "has", "have"), counted(has, "NVLink"), generation->sm,
                     generation->links),
         "count the NVSwitches (`lspci -d 10de: -nn | grep 0680`), look at the fabric manager's "
         "log (/var/log/fabricmanager.log) and `nvidia-smi nvlink -s`"});
  }
}

}  // namespace

extern const Rule kRulesNvlinkFew{"nvlink-few", "GPUs of which all have too few NVLinks", look};

}  // namespace lockstep::topology
