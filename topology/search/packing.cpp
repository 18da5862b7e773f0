#include "topology/search/packing.hpp"

#include <algorithm>
#include <numeric>

namespace lockstep::topology {
namespace {

/// Of sums that are equal but for rounding.
constexpr double kSlack = 1e-9;

/// For one ring, in uses of segments: what it takes to try all orders of 8 GPUs, or to walk past
/// a few hundred.
constexpr std::int64_t kRingBudget = 200'000;

/// SplitMix64 (Steele et al., 2014): the same numbers everywhere, which std::shuffle does not
/// promise.
class Lots {
 public:
  explicit Lots(std::uint64_t seed) : state_(seed) {}
  std::size_t below(std::size_t bound) {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::size_t>((mixed ^ (mixed >> 31)) % bound);
  }

 private:
  std::uint64_t state_;
};

/// To put one GPU in its place, compared with a look at a segment.
constexpr std::int64_t kSortingCosts = 10;

class Packer {
 public:
  Packer(const Hops& hops, const Wish& wish, std::uint64_t seed, Budget& budget)
      : hops_(hops), wish_(wish), budget_(budget), lots_(seed), byLot_(seed != 0) {
    const auto gpus = static_cast<std::size_t>(hops.gpus());
    visited_.resize(gpus);
    begun_.resize(gpus);
    nextOf_.resize(gpus);
    left_.reserve(hops.segments().size());
    for (const Segment& segment : hops.segments()) left_.push_back(segment.capacity);
    budget_.left -= static_cast<std::int64_t>(left_.size());
  }

  Packing run() {
    Packing packing;
    while (static_cast<int>(packing.rounds.size()) < wish_.rings) {
      if (byLot_ || packing.rounds.empty()) orderAll();
      stopAt_ = std::max<std::int64_t>(0, budget_.left - kRingBudget);
      if (!(hops_.ports().empty() ? findRound() : findRoundByPorts())) {
        packing.hopeless = packing.rounds.empty() && budget_.left > stopAt_;
        break;
      }
      packing.rounds.push_back(round_);
      if (wish_.mirrored) {
        std::reverse(round_.gpus.begin() + 1, round_.gpus.end());
        packing.rounds.push_back(round_);
      }
    }
    return packing;
  }

 private:
  /// From each GPU to the others, nearest first; equals from the next in number on, or by lot.
  void orderAll() {
    for (int from = 0; from < hops_.gpus(); ++from) {
      std::vector<int>& others = nextOf_[static_cast<std::size_t>(from)];
      others.clear();
      for (int i = 1; i < hops_.gpus(); ++i) others.push_back((from + i) % hops_.gpus());
      for (std::size_t i = others.size(); byLot_ && i > 1; --i)
        std::swap(others[i - 1], others[lots_.below(i)]);
      std::stable_sort(others.begin(), others.end(), [&](int a, int b) {
        return hops_.between(from, a).type < hops_.between(from, b).type;
      });
    }
    budget_.left -= static_cast<std::int64_t>(hops_.gpus()) * hops_.gpus() * kSortingCosts;
  }

  /// Every ring passes the first GPU, so it may as well start there.
  bool findRound() {
    round_ = {};
    const bool found = enter(0);
    visited_.assign(visited_.size(), false);
    return found;
  }

  /// In by the port that has most left, to one of the GPUs near it.
  bool findRoundByPorts() {
    std::vector<int> ports(hops_.ports().size());
    std::iota(ports.begin(), ports.end(), 0);
    std::stable_sort(ports.begin(), ports.end(),
                     [&](int a, int b) { return leftIn(a) > leftIn(b); });
    return std::any_of(ports.begin(), ports.end(), [&](int port) { return findRoundBy(port); });
  }

  /// First to those that fewer rings began at: what comes from outside spares their other links.
  bool findRoundBy(int port) {
    std::vector<int> entries = hops_.ports()[static_cast<std::size_t>(port)].entries;
    std::stable_sort(entries.begin(), entries.end(), [&](int a, int b) {
      return begun_[static_cast<std::size_t>(a)] < begun_[static_cast<std::size_t>(b)];
    });
    for (const int gpu : entries) {
      if (!take(hops_.entering(port, gpu))) continue;
      round_ = {.gpus = {}, .in = port};
      const bool found = enter(gpu);
      visited_.assign(visited_.size(), false);
      if (found) {
        ++begun_[static_cast<std::size_t>(gpu)];
        return true;
      }
      giveBack(hops_.entering(port, gpu));
    }
    return false;
  }

  double leftIn(int port) const {
    return left_[static_cast<std::size_t>(hops_.ports()[static_cast<std::size_t>(port)].in)];
  }

  /// The rest of the round from this GPU on.
  bool enter(int gpu) {
    visited_[static_cast<std::size_t>(gpu)] = true;
    round_.gpus.push_back(gpu);
    const bool all = round_.gpus.size() == visited_.size();
    if (all ? close(gpu) : goOn(gpu)) return true;
    round_.gpus.pop_back();
    visited_[static_cast<std::size_t>(gpu)] = false;
    return false;
  }

  bool goOn(int gpu) {
    for (const bool doors : {false, true})
      for (const int next : nextOf_[static_cast<std::size_t>(gpu)]) {
        if (visited_[static_cast<std::size_t>(next)] || byTheDoor(next) != doors) continue;
        if (!takeBoth(gpu, next)) continue;
        if (enter(next)) return true;
        giveBackBoth(gpu, next);
        if (budget_.left <= stopAt_) return false;
      }
    return false;
  }

  /// GPUs near the NIC that the ring came in by are kept for its end, so that it may leave there.
  bool byTheDoor(int gpu) const {
    return round_.in != kNone && hops_.leaving(gpu, round_.in).type != PathType::dis;
  }

  bool close(int last) {
    if (round_.in == kNone) return takeBoth(last, round_.gpus.front());
    if (leave(last, round_.in)) return true;
    for (int port = 0; port < static_cast<int>(hops_.ports().size()); ++port)
      if (port != round_.in && leave(last, port)) return true;
    return false;
  }

  bool leave(int last, int port) {
    if (!take(hops_.leaving(last, port))) return false;
    round_.out = port;
    return true;
  }

  bool takeBoth(int from, int to) {
    if (!take(hops_.between(from, to))) return false;
    if (!wish_.mirrored || take(hops_.between(to, from))) return true;
    giveBack(hops_.between(from, to));
    return false;
  }

  void giveBackBoth(int from, int to) {
    giveBack(hops_.between(from, to));
    if (wish_.mirrored) giveBack(hops_.between(to, from));
  }

  bool take(const Hop& hop) {
    budget_.left -= static_cast<std::int64_t>(hop.uses.size()) + 1;
    if (hop.type == PathType::dis) return false;
    for (const Use& use : hop.uses)
      if (left(use) < wish_.bandwidth * use.share * (1 - kSlack)) return false;
    for (const Use& use : hop.uses) left(use) -= wish_.bandwidth * use.share;
    return true;
  }

  void giveBack(const Hop& hop) {
    for (const Use& use : hop.uses) left(use) += wish_.bandwidth * use.share;
  }

  double& left(const Use& use) { return left_[static_cast<std::size_t>(use.segment)]; }

  const Hops& hops_;
  const Wish wish_;
  Budget& budget_;
  Lots lots_;
  const bool byLot_;
  std::int64_t stopAt_ = 0;               // of this ring
  std::vector<double> left_;              // by segment: bytes/s
  std::vector<std::vector<int>> nextOf_;  // by GPU
  std::vector<bool> visited_;             // by GPU
  std::vector<int> begun_;                // by GPU: rings
  Round round_;
};

}  // namespace

Packing pack(const Hops& hops, const Wish& wish, std::uint64_t seed, Budget& budget) {
  return Packer(hops, wish, seed, budget).run();
}

}  // namespace lockstep::topology
