// A GPU with fewer NVLinks than its peers, or with links that are down.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "topology/rules/evidence/alike.hpp"
#include "topology/rules/evidence/confidential.hpp"
#include "topology/rules/evidence/fabric.hpp"
#include "topology/rules/evidence/nvlinks.hpp"
#include "topology/rules/evidence/peers.hpp"
#include "topology/rules/evidence/words.hpp"
#include "topology/rules/rule.hpp"

namespace lockstep::topology {
namespace {

/// What one GPU lacks. Those of whom it is the same are one problem.
struct Lack {
  std::int64_t has = 0;
  std::int64_t expected = 0;
  std::string where;      ///< "4 of 5 to NVSwitch1 (0000:1b:00.0)"; may be empty
  std::vector<int> dead;  ///< numbers of links that are down
  friend bool operator==(const Lack&, const Lack&) = default;
};

class GroupOfPeers {
 public:
  GroupOfPeers(const Graph& graph, const std::map<NodeId, Linkage>& all,
               const std::vector<NodeId>& gpus)
      : graph_(graph), all_(all), noun_(nounOf(graph, gpus)), switched_(isSwitched(graph, gpus)) {
    const bool pairs = !switched_ && inPairs(gpus);
    for (const NodeId id : gpus) (pairs && wouldHave(id) == 0 ? unbridged_ : gpus_).push_back(id);
    std::vector<std::int64_t> totals;
    for (const NodeId id : gpus_) totals.push_back(wouldHave(id));
    expected_ = mostCommon(totals);
    whole_ = std::count(totals.begin(), totals.end(), expected_);
    std::vector<const Linkage*> linkages;
    for (const NodeId id : gpus_) linkages.push_back(&of(id));
    usual_ = usualLinks(graph, linkages);
  }

  void judge(std::vector<Problem>& problems) const {
    if (expected_ == 0 && !anyLinks()) {
      judgeNone(problems);
      return;
    }
    Alike<Lack> lacks;
    for (const NodeId id : gpus_)
      if (const Lack lack = lackOf(id); lack.has < lack.expected || !lack.dead.empty())
        lacks.add(lack, id);
    for (const auto& [lack, gpus] : lacks) problems.push_back(problem(lack, gpus));
    if (!unbridged_.empty()) problems.push_back(unbridged());
  }

 private:
  const Linkage& of(NodeId id) const { return all_.at(id); }
  std::int64_t wouldHave(NodeId id) const { return of(id).active + of(id).missingElsewhere; }

  /// As bridges join cards: who has links has them to one other.
  bool inPairs(const std::vector<NodeId>& gpus) const {
    std::size_t linked = 0;
    for (const NodeId id : gpus) {
      if (of(id).active == 0) continue;
      if (of(id).to.size() != 1) return false;
      ++linked;
    }
    return linked > 0;
  }

  bool anyLinks() const {
    return std::any_of(gpus_.begin(), gpus_.end(), [&](NodeId id) { return wouldHave(id) > 0; });
  }

  Lack lackOf(NodeId id) const {
    Lack lack{.has = of(id).active, .expected = of(id).active, .where = {}, .dead = {}};
    if (wouldHave(id) < expected_) {
      lack.expected = expected_;
      if (lack.has > 0) lack.where = switched_ ? lackingSwitches(id) : "";
    }
    // Cards without bridges have links that lead nowhere, and what another rule tells of is dead
    // too.
    const bool unbridged = expected_ == 0 && lack.has == 0;
    const auto dead = static_cast<std::int64_t>(gpuOf(graph_, id).deadLinks.size());
    if (!unbridged && dead > of(id).missingElsewhere) lack.dead = gpuOf(graph_, id).deadLinks;
    return lack;
  }

  std::string lackingSwitches(NodeId id) const {
    constexpr std::size_t kMostParts = 8;
    std::vector<std::string> parts;
    std::size_t more = 0;
    for (const auto& [chip, usual] : usual_) {
      const std::int64_t has = linksTo(id, chip);
      if (has >= usual) continue;
      if (parts.size() == kMostParts)
        ++more;
      else
        parts.push_back(fmt::format("{} of {} to {}", has == 0 ? "none" : fmt::to_string(has),
                                    usual, described(graph_.node(chip))));
    }
    return fmt::format("{}{}", fmt::join(parts, ", "),
                       more == 0 ? "" : fmt::format(" and {} more NVSwitches", more));
  }

  std::int64_t linksTo(NodeId id, NodeId target) const {
    const auto found = of(id).to.find(target);
    return found == of(id).to.end() ? 0 : found->second;
  }

  Problem problem(const Lack& lack, const std::vector<NodeId>& gpus) const {
    const std::string_view has = agree(gpus.size(), "has", "have");
    std::string what;
    if (lack.has < lack.expected)
      what = fmt::format("{} {}, where {} {} {}{}{}", has, counted(lack.has, noun_),
                         counted(whole_, "peer"),
                         agree(static_cast<std::size_t>(whole_), "has", "have"), lack.expected,
                         lack.where.empty() ? "" : ": ", lack.where);
    else
      what = fmt::format("{} {} up", has, counted(lack.has, noun_));
    if (lack.has < lack.expected && !switched_) what += betweenWhom(gpus);
    if (!lack.dead.empty())
      what += fmt::format("; {} {} {} down", agree(lack.dead.size(), "link", "links"),
                          fmt::join(lack.dead, ", "), agree(lack.dead.size(), "is", "are"));
    if (!switched_ && lack.has == lack.expected)
      return {evenlyDown() ? Severity::note : Severity::warning,
              {},
              list(graph_, gpus),
              std::move(what),
              evenlyDown()
                  ? "as many are down on all: nothing to mend, if fewer bridges are fitted "
                    "than there is room for, or bridges do not take all links"
                  : "not as many are down on all: look whether bridges are missing, or "
                    "seat them again"};
    return {Severity::error,
            {},
            list(graph_, gpus),
            std::move(what),
            "look at `nvidia-smi nvlink -s` and `dmesg | grep -i xid` (74 is an NVLink error), "
            "reset the GPUs; if it stays, have the GPU, its seat or the switch replaced"};
  }

  /// Whether all have what most have, and as many links down: bridges take some links of a card.
  bool evenlyDown() const {
    const std::size_t down = lackOf(gpus_.front()).dead.size();
    return std::all_of(gpus_.begin(), gpus_.end(), [&](NodeId id) {
      const Lack lack = lackOf(id);
      return lack.has == lack.expected && lack.dead.size() == down;
    });
  }

  Problem unbridged() const {
    return {Severity::note,
            {},
            list(graph_, unbridged_),
            fmt::format("{} no {} up, where {} {} joined in pairs: no bridge fitted",
                        agree(unbridged_.size(), "has", "have"), noun_,
                        counted(static_cast<std::int64_t>(gpus_.size()), "peer"),
                        agree(gpus_.size(), "is", "are")),
            "nothing to mend, unless a bridge is fitted: then seat it again"};
  }

  /// Where links go from GPU to GPU a lost one is lost at both ends.
  std::string betweenWhom(const std::vector<NodeId>& gpus) const {
    if (gpus.size() != 2 || of(gpus[0]).active == 0) return {};
    const std::int64_t now = linksTo(gpus[0], gpus[1]);
    return fmt::format("; it is likely between the two that {} gone ({} there now)",
                       expected_ - wouldHave(gpus[0]) == 1 ? "one is" : "some are",
                       now == 0 ? "none is" : fmt::format("{} {}", now, now == 1 ? "is" : "are"));
  }

  /// Cards without bridges have links that lead nowhere; GPUs on a board with NVSwitches should
  /// not. Cards beside such GPUs may. Who does not know what a GPU can do (hwloc's files) does not
  /// know its links either.
  void judgeNone(std::vector<Problem>& problems) const {
    const bool told = std::any_of(gpus_.begin(), gpus_.end(),
                                  [&](NodeId id) { return gpuOf(graph_, id).sm > 0; });
    if (!told) return;
    const int host = graph_.node(gpus_.front()).host;
    const auto chips = switchesOf(graph_, host, gpus_).size();
    std::vector<NodeId> all = knownGpus(graph_);
    std::erase_if(all, [&](NodeId id) { return graph_.node(id).host != host; });
    const bool fabricDown = std::any_of(gpus_.begin(), gpus_.end(),
                                        [&](NodeId id) { return fabricIsDown(gpuOf(graph_, id)); });
    if (chips == 0 || fabricDown || isSwitched(graph_, all)) return;
    problems.push_back(
        {Severity::error,
         {},
         list(graph_, gpus_),
         fmt::format("{} no NVLink up, though the machine has {}",
                     agree(gpus_.size(), "has", "have"),
                     counted(static_cast<std::int64_t>(chips), "NVSwitch")),
         "start the fabric manager (systemctl start nvidia-fabricmanager), then look "
         "at `nvidia-smi nvlink -s`"});
  }

  const Graph& graph_;
  const std::map<NodeId, Linkage>& all_;
  const char* noun_;
  bool switched_;
  std::vector<NodeId> gpus_;       ///< those that are compared
  std::vector<NodeId> unbridged_;  ///< cards beside others that are joined in pairs
  std::int64_t expected_ = 0;
  std::int64_t whole_ = 0;                ///< how many have that
  std::map<NodeId, std::int64_t> usual_;  ///< links of most to each NVSwitch
};

void look(const Graph& graph, std::vector<Problem>& problems) {
  // NVLinks are not shown at all then.
  if (confidentiality(graph.inventory()) == Confidentiality::singleGpu) return;
  const std::map<NodeId, Linkage> all = linkages(graph);
  for (const std::vector<NodeId>& gpus : peerGroups(graph))
    GroupOfPeers(graph, all, gpus).judge(problems);
}

}  // namespace

extern const Rule kRulesNvlinkMissing{
    "nvlink-missing", "a GPU with fewer NVLinks than its peers, or with dead ones", look};

}  // namespace lockstep::topology
