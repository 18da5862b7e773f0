#include "topology/search/rings.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "topology/search/bounds.hpp"
#include "topology/search/channels.hpp"
#include "topology/search/hops.hpp"
#include "topology/search/packing.hpp"

namespace lockstep::topology {
namespace {

/// Sums that differ by less are equal.
constexpr double kSlack = 1e-9;

/// How many rings may share a link, where no equal split of the bound is found.
constexpr int kMostSharing = 8;
constexpr std::size_t kMostSpeeds = 64;
/// One wish gets no more of the budget than this part of it, so that others have their turn.
constexpr std::int64_t kTurns = 12;

class RingSearch {
 public:
  RingSearch(const Graph& graph, const Hops& hops, const SearchOptions& options)
      : hops_(hops), options_(options), budget_{options.budget}, cuts_(cutsOf(graph, hops)) {
    bound_ = boundOfRings(cuts_);
  }

  const Bound& bound() const { return bound_; }
  bool complete() const { return complete_ || reachedBound(); }
  Bandwidth each() const { return each_; }

  /// Equal parts of what all can have: one ring with all of it, or two with half each, ... Where
  /// none of these fits, the speeds that fill links evenly.
  std::vector<Round> run() {
    if (bound_.bandwidth.known()) {
      for (int rings = 1; rings <= options_.mostRings && !reachedBound(); ++rings)
        tryFor(limit() / rings, rings);
      for (const double speed : reachedBound() ? std::set<double>{} : speeds())
        tryFor(-speed, static_cast<int>(limit() / -speed * (1 + kSlack)));
    }
    if (best_.empty()) tryAny();
    return best_;
  }

 private:
  double limit() const { return bound_.bandwidth.bytesPerSecond(); }
  bool reachedBound() const { return bound_.bandwidth.known() && total_ >= limit() * (1 - kSlack); }

  /// Negative, so that the fastest comes first.
  std::set<double> speeds() const {
    std::set<double> speeds;
    const double least = limit() / options_.mostRings;
    for (int a = 0; a < hops_.gpus(); ++a)
      for (int b = 0; b < hops_.gpus() && speeds.size() < kMostSpeeds; ++b)
        for (int sharing = 1; a != b && sharing <= kMostSharing; ++sharing) {
          const double speed = hops_.bottleneck(hops_.between(a, b)) / sharing;
          if (speed >= least && speed <= limit()) speeds.insert(-speed);
        }
    return speeds;
  }

  void tryFor(double bandwidth, int rings) {
    rings = std::min({rings, options_.mostRings, mostRings(cuts_, hops_, bandwidth)});
    if (rings <= 0 || rings * bandwidth <= total_ * (1 + kSlack)) return;
    const bool canMirror = hops_.ports().empty() && hops_.gpus() > 2 && rings % 2 == 0;
    if (canMirror && tryWish({bandwidth, rings, true})) return;
    tryWish({bandwidth, rings, false});
  }

  bool tryWish(const Wish& wish) {
    const std::int64_t end = std::max<std::int64_t>(0, budget_.left - options_.budget / kTurns);
    for (std::uint64_t seed = 0; budget_.left > end; ++seed) {
      const Packing packing = pack(hops_, wish, seed, budget_);
      consider(packing.rounds);
      if (packing.hopeless) return false;
      if (static_cast<int>(packing.rounds.size()) >= wish.rings) return true;
    }
    complete_ = false;
    return false;
  }

  /// The nearest way round, whatever its links can carry: there is one wherever paths are.
  void tryAny() {
    Budget enough{std::numeric_limits<std::int64_t>::max()};
    best_ = pack(hops_, {}, 0, enough).rounds;
    each_ = load(best_).each();
  }

  void consider(const std::vector<Round>& rounds) {
    if (rounds.empty()) return;
    const Bandwidth each = load(rounds).each();
    const double total = each.bytesPerSecond() * static_cast<double>(rounds.size());
    if (total <= total_ * (1 + kSlack)) return;
    total_ = total;
    each_ = each;
    best_ = rounds;
  }

  Loads load(const std::vector<Round>& rounds) const {
    Loads loads(hops_);
    for (const Round& round : rounds) {
      for (std::size_t i = 0; i + 1 < round.gpus.size(); ++i)
        loads.add(hops_.between(round.gpus[i], round.gpus[i + 1]));
      if (round.in == kNone) {
        loads.add(hops_.between(round.gpus.back(), round.gpus.front()));
      } else {
        loads.add(hops_.entering(round.in, round.gpus.front()));
        loads.add(hops_.leaving(round.gpus.back(), round.out));
      }
    }
    return loads;
  }

  const Hops& hops_;
  const SearchOptions& options_;
  Budget budget_;
  const std::vector<Cut> cuts_;
  Bound bound_;
  bool complete_ = true;
  double total_ = 0;  // bytes/s
  Bandwidth each_;
  std::vector<Round> best_;
};

/// Of machines that nobody builds: what the hops between all pairs of GPUs may keep, and the ways
/// to NICs through other GPUs that may be looked at, before the search begins.
constexpr std::size_t kMostSwitchUses = 4'000'000;
constexpr std::size_t kMostDetours = 4'000'000;

std::size_t linksToSwitches(const Graph& graph) {
  std::size_t links = 0;
  for (const NodeId chip : graph.ofKind(NodeKind::nvSwitch)) links += graph.linksFrom(chip).size();
  return links;
}

/// From every GPU through every GPU to every NIC of its machine.
std::size_t detours(const Graph& graph) {
  std::vector<std::size_t> gpus(static_cast<std::size_t>(graph.hosts()));
  for (const NodeId id : graph.ofKind(NodeKind::gpu))
    ++gpus[static_cast<std::size_t>(graph.node(id).host)];
  std::size_t sum = 0;
  for (const NodeId id : graph.ofKind(NodeKind::nic)) {
    const std::size_t here = gpus[static_cast<std::size_t>(graph.node(id).host)];
    sum += here * here;
  }
  return sum;
}

std::string whyNot(const Graph& graph, const SearchOptions& options) {
  const std::vector<NodeId>& gpus = graph.ofKind(NodeKind::gpu);
  if (gpus.empty()) return "there is no GPU";
  if (gpus.size() == 1 && !options.withNics) return "there is only one GPU";
  if (gpus.size() > static_cast<std::size_t>(kMostSearchedGpus))
    return fmt::format("there are {} GPUs; rings are searched for up to {}", gpus.size(),
                       kMostSearchedGpus);
  if (const std::size_t links = linksToSwitches(graph); links * gpus.size() > kMostSwitchUses)
    return fmt::format("{} links of {} GPUs to NVSwitches are too many to search", links,
                       gpus.size());
  if (options.withNics && detours(graph) > kMostDetours)
    return fmt::format("{} GPUs with {} NICs are too many to search", gpus.size(),
                       graph.ofKind(NodeKind::nic).size());
  return {};
}

/// Once no ring was found.
std::string whatIsMissing(const Graph& graph, const Hops& hops, bool withNics) {
  if (withNics && hops.ports().empty()) return "there is no NIC that a GPU reaches";
  for (int a = 0; a < hops.gpus(); ++a)
    for (int b = 0; b < hops.gpus(); ++b)
      if (a != b && hops.between(a, b).type == PathType::dis)
        return fmt::format("{} does not reach {}", graph.node(hops.gpu(a)).name,
                           graph.node(hops.gpu(b)).name);
  return "no way passes every GPU";
}

Ring ringOf(const Hops& hops, const Round& round, Bandwidth bandwidth) {
  Ring ring;
  ring.bandwidth = bandwidth;
  for (const int gpu : round.gpus) ring.gpus.push_back(hops.gpu(gpu));
  const auto passes = [&](const Hop& hop) { ring.worst = std::max(ring.worst, hop.type); };
  for (std::size_t i = 0; i + 1 < round.gpus.size(); ++i)
    passes(hops.between(round.gpus[i], round.gpus[i + 1]));
  if (round.in == kNone) {
    passes(hops.between(round.gpus.back(), round.gpus.front()));
    return ring;
  }
  passes(hops.entering(round.in, round.gpus.front()));
  passes(hops.leaving(round.gpus.back(), round.out));
  ring.nicIn = hops.ports()[static_cast<std::size_t>(round.in)].nic;
  ring.nicOut = hops.ports()[static_cast<std::size_t>(round.out)].nic;
  return ring;
}

}  // namespace

double Rings::efficiency() const {
  return bound.known() ? total.bytesPerSecond() / bound.bytesPerSecond() : 0;
}

Rings findRings(const Graph& graph, const SearchOptions& options) {
  Rings found;
  found.reason = whyNot(graph, options);
  if (!found.reason.empty()) return found;
  const Hops hops(graph, options.withNics);
  if (options.withNics && hops.ports().empty()) {
    found.reason = whatIsMissing(graph, hops, true);
    return found;
  }
  RingSearch search(graph, hops, options);
  const std::vector<Round> rounds = search.run();
  if (rounds.empty()) {
    found.reason = whatIsMissing(graph, hops, options.withNics);
    return found;
  }
  for (const Round& round : rounds) found.rings.push_back(ringOf(hops, round, search.each()));
  found.total = search.each() * static_cast<double>(rounds.size());
  found.bound = search.bound().bandwidth;
  found.narrow = search.bound().by;
  found.complete = search.complete();
  found.channels = channelsFor(graph, found.rings.size(), search.each(), options.withNics);
  return found;
}

}  // namespace lockstep::topology
