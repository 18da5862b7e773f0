// Small right schedules of the collectives with blocks or a root, written by hand as those of
// verify_examples.hpp. Three ranks; the root is rank 0. A block is one chunk unless it says more.
#pragma once

#include <utility>
#include <vector>

#include "collectives/schedule.hpp"

namespace lockstep::schedule::examples {

inline constexpr int kThree = 3;

inline Range nth(int block) {
  return {static_cast<std::uint32_t>(block), 1};
}

inline Schedule ofThree(Collective collective, const char* name, std::vector<Lane> lanes) {
  Schedule s;
  s.name = name;
  s.collective = collective;
  s.shape.worldSize = kThree;
  for (Lane& lane : lanes) s.programs.push_back({{std::move(lane)}});
  return s;
}

/// The ranks after r, in turn.
inline std::vector<int> others(int r) {
  return {(r + 1) % kThree, (r + 2) % kThree};
}

/// Ops: send to both; copy my own block; receive from each (ops 2, 3).
inline Schedule allGather() {
  std::vector<Lane> lanes;
  for (int r = 0; r < kThree; ++r) {
    std::vector<Operand> to;
    for (const int q : others(r)) to.push_back(via({r, q}, nth(0)));
    lanes.push_back({move(to, {in(nth(0))}), move({out(nth(r))}, {in(nth(0))})});
    for (const int q : others(r))
      lanes.back().push_back(move({out(nth(q))}, {via({q, r}, nth(0))}));
  }
  return ofThree(Collective::allGather, "all-gather", lanes);
}

/// Blocks travel in pairs, by scratch. Ops: copy mine to scratch[0]; send it back; receive the next
/// rank's into scratch[1]; send both; receive two into scratch[2..3]; copy the three out
/// (ops 5..7).
inline Schedule packedAllGather() {
  std::vector<Lane> lanes;
  for (int r = 0; r < kThree; ++r) {
    const int next = (r + 1) % kThree, last = (r + 2) % kThree;
    lanes.push_back(
        {move({scratch(nth(0))}, {in(nth(0))}), move({via({r, last}, nth(0))}, {scratch(nth(0))}),
         move({scratch(nth(1))}, {via({next, r}, nth(0))}),
         move({via({r, last}, {0, 2})}, {scratch({0, 2})}),
         move({scratch({2, 2})}, {via({next, r}, {0, 2})}), move({out(nth(r))}, {scratch(nth(0))}),
         move({out(nth(next))}, {scratch(nth(2))}), move({out(nth(last))}, {scratch(nth(3))})});
  }
  Schedule s = ofThree(Collective::allGather, "packed all-gather", lanes);
  s.scratchChunks = 4;
  return s;
}

/// Ops: send each its block; reduce mine.
inline Schedule reduceScatter() {
  std::vector<Lane> lanes;
  for (int r = 0; r < kThree; ++r) {
    Lane lane;
    std::vector<Operand> parts{in(nth(r))};
    for (const int q : others(r)) {
      lane.push_back(move({via({r, q}, nth(q))}, {in(nth(q))}));
      parts.push_back(via({q, r}, nth(r)));
    }
    lane.push_back(move({out(nth(0))}, parts, true));
    lanes.push_back(lane);
  }
  return ofThree(Collective::reduceScatter, "reduce-scatter", lanes);
}

/// In place, two chunks a block. Ops: send both blocks of others (0, 1); receive them (2, 3).
inline Schedule allToAll() {
  const auto block = [](int b) { return Range{static_cast<std::uint32_t>(2 * b), 2}; };
  std::vector<Lane> lanes;
  for (int r = 0; r < kThree; ++r) {
    Lane lane;
    for (const int q : others(r)) lane.push_back(move({via({r, q}, {0, 2})}, {in(block(q))}));
    for (const int q : others(r)) lane.push_back(move({out(block(q))}, {via({q, r}, {0, 2})}));
    lanes.push_back(lane);
  }
  Schedule s = ofThree(Collective::allToAll, "all-to-all", lanes);
  s.chunks = 2;
  s.shape.inPlace = true;
  return s;
}

/// Not in place. Ops: expose, acquire, read from each (2, 3), copy mine, release, close.
inline Schedule exposedAllToAll() {
  std::vector<Lane> lanes;
  for (int r = 0; r < kThree; ++r) {
    Lane lane{sync(OpKind::expose), sync(OpKind::acquire)};
    for (const int q : others(r)) lane.push_back(move({out(nth(q))}, {remoteIn(q, nth(r))}));
    lane.push_back(move({out(nth(r))}, {in(nth(r))}));
    lane.push_back(sync(OpKind::release));
    lane.push_back(sync(OpKind::close));
    lanes.push_back(lane);
  }
  Schedule s = ofThree(Collective::allToAll, "exposed all-to-all", lanes);
  s.exposes = true;
  return s;
}

/// From rank 0 by way of rank 1 to rank 2.
inline Schedule broadcast() {
  const Range r = nth(0);
  return ofThree(Collective::broadcast, "broadcast",
                 {{move({via({0, 1}, r)}, {in(r)}), move({out(r)}, {in(r)})},
                  {forward({via({1, 2}, r), out(r)}, via({0, 1}, r))},
                  {move({out(r)}, {via({1, 2}, r)})}});
}

/// Rank 0 reduces what the others send.
inline Schedule reduce() {
  const Range r = nth(0);
  return ofThree(Collective::reduce, "reduce",
                 {{move({out(r)}, {in(r), via({1, 0}, r), via({2, 0}, r)}, true)},
                  {move({via({1, 0}, r)}, {in(r)})},
                  {move({via({2, 0}, r)}, {in(r)})}});
}

/// Rank 0 copies its own block, and receives the others'.
inline Schedule gather() {
  const Range r = nth(0);
  return ofThree(Collective::gather, "gather",
                 {{move({out(nth(0))}, {in(r)}), move({out(nth(1))}, {via({1, 0}, r)}),
                   move({out(nth(2))}, {via({2, 0}, r)})},
                  {move({via({1, 0}, r)}, {in(r)})},
                  {move({via({2, 0}, r)}, {in(r)})}});
}

/// Ranks 1 and 2 write where the root wants it. Ops: expose, acquire, the copy, release, close.
inline Schedule exposedGather() {
  const auto between = [](const Op& copy) {
    return Lane{sync(OpKind::expose), sync(OpKind::acquire), copy, sync(OpKind::release),
                sync(OpKind::close)};
  };
  Schedule s = ofThree(Collective::gather, "exposed gather",
                       {between(move({out(nth(0))}, {in(nth(0))})),
                        between(move({remoteOut(0, nth(1))}, {in(nth(0))})),
                        between(move({remoteOut(0, nth(2))}, {in(nth(0))}))});
  s.exposes = true;
  return s;
}

/// Rank 0 sends each its block, and copies its own.
inline Schedule scatter() {
  const Range r = nth(0);
  return ofThree(Collective::scatter, "scatter",
                 {{move({via({0, 1}, r)}, {in(nth(1))}), move({via({0, 2}, r)}, {in(nth(2))}),
                   move({out(r)}, {in(nth(0))})},
                  {move({out(r)}, {via({0, 1}, r)})},
                  {move({out(r)}, {via({0, 2}, r)})}});
}

}  // namespace lockstep::schedule::examples
