// Recursive halving and doubling: a reduce-scatter that halves what is left at each of log2(P)
// steps, and an all-gather that doubles it back. The least bytes in 2*log2(P) steps: between
// one-shot and two-shot where ranks are many. The first and largest exchange is with the nearest
// rank. (Rabenseifner, "Optimization of collective reduction operations", 2004.)
#include <iterator>

#include "collectives/building.hpp"

namespace lockstep::schedule {
namespace {

using namespace building;

/// Chunks [begin, begin + size) that a rank still reduces, or already has.
struct Window {
  int begin, size;
  Range range() const {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(size)};
  }
  Window low() const { return {begin, size / 2}; }
  Window high() const { return {begin + size / 2, size / 2}; }
};

/// What a core rank does; `accumulated` holds its own contribution at first.
void exchange(Lane& lane, int rank, int core, Operand (*accumulated)(Range)) {
  struct Step {
    int partner;
    Window keep, give;
  };
  std::vector<Step> steps;
  Window window{0, core};
  for (int distance = 1; distance < core; distance *= 2) {
    const bool keepsHigh = (rank & distance) != 0;
    const Step step{rank ^ distance, keepsHigh ? window.high() : window.low(),
                    keepsHigh ? window.low() : window.high()};
    const Range give = step.give.range();
    const Range keep = step.keep.range();
    const bool last = step.keep.size == 1;
    lane.push_back(move({via({rank, step.partner}, give)}, {accumulated(give)}));
    lane.push_back(move({out(keep)}, {accumulated(keep), via({step.partner, rank}, keep)}, last));
    accumulated = out;
    window = step.keep;
    steps.push_back(step);
  }
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const Range have = step->keep.range();
    const Range miss = step->give.range();
    lane.push_back(move({via({rank, step->partner}, have)}, {out(have)}));
    lane.push_back(move({out(miss)}, {via({step->partner, rank}, miss)}));
  }
}

/// A chunk for each rank that takes part in the exchange; the others fold into them.
Schedule describeHalvingDoubling(const Shape& shape) {
  return describe(Collective::allReduce, "halving_doubling", shape, coreRanks(shape.worldSize));
}

Program halvingDoubling(const Shape& shape, int rank) {
  if (shape.worldSize == 1) return alone();
  const int core = coreRanks(shape.worldSize);
  const Range whole = firstChunks(core);
  if (rank >= core) {
    const int host = rank - core;
    return oneLane({
        move({via({rank, host}, whole)}, {in(whole)}),
        move({out(whole)}, {via({host, rank}, whole)}),
    });
  }

  Lane lane;
  const int guest = rank + core;
  const bool hasGuest = guest < shape.worldSize;
  if (hasGuest) lane.push_back(move({out(whole)}, {in(whole), via({guest, rank}, whole)}));
  exchange(lane, rank, core, hasGuest ? out : in);
  if (hasGuest) lane.push_back(move({via({rank, guest}, whole)}, {out(whole)}));
  return oneLane(lane);
}

}  // namespace

extern const Algorithm kAllreduceHalvingDoubling = {.name = "halving_doubling",
                                                    .collective = Collective::allReduce,
                                                    .edges = Edges::channels,
                                                    .rankOrder = false,
                                                    .describe = describeHalvingDoubling,
                                                    .program = halvingDoubling};

}  // namespace lockstep::schedule
