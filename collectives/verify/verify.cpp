#include "collectives/verify/verify.hpp"

#include <algorithm>

#include "collectives/verify/event_graph.hpp"
#include "collectives/verify/replay.hpp"
#include "collectives/verify/sealing.hpp"
#include "collectives/verify/structure.hpp"
#include "collectives/verify/wiring.hpp"

namespace lockstep::schedule {
namespace {

constexpr std::uint32_t kMaxDepth = 3;
constexpr std::uint32_t kCalls = 2;
constexpr std::size_t kNamedOfCircle = 8;  ///< operations of a circular wait that a fault names

/// Exposing schedules treat the message as one tile, and a barrier has no message: more tiles would
/// hide a barrier that holds from its second tile on only.
bool isOneTile(const Schedule& schedule) {
  return schedule.exposes || schedule.collective == Collective::barrier;
}

std::uint32_t maxDepth(const Schedule& schedule) {
  return isOneTile(schedule) ? 1 : kMaxDepth;
}

/// 2D+1 tiles: each place of a tile in flight is used, reused, and reused while others still run.
std::uint32_t tilesFor(const Schedule& schedule, std::uint32_t depth) {
  return isOneTile(schedule) ? 1 : 2 * depth + 1;
}

/// Circular waits, when every channel has `slots` slots.
void checkProgress(const Schedule& schedule, const Wiring& wiring, std::uint32_t slots,
                   Faults& faults) {
  for (std::uint32_t depth = 1; depth <= maxDepth(schedule) && faults.none(); ++depth) {
    const EventGraph graph(
        schedule, wiring,
        {.depth = depth, .tiles = tilesFor(schedule, depth), .calls = kCalls, .slots = slots});
    const std::vector<std::uint32_t> circle = graph.circle();
    if (circle.empty()) continue;
    std::string text;
    for (std::size_t i = 0; i < std::min(circle.size(), kNamedOfCircle); ++i)
      text += graph.describe(circle[i]) + ", which waits for ";
    const bool isLonger = circle.size() > kNamedOfCircle;
    faults.add("deadlock, a circular wait: {}{}the first", text, isLonger ? ".. " : "");
  }
}

}  // namespace

Verdict verify(const Schedule& schedule, const Policy& policy) {
  Faults faults;
  Verdict verdict;
  const auto judge = [&] {
    checkStructure(schedule, faults);
    if (!faults.none()) return;
    const Wiring wiring = wire(schedule, faults);
    if (!faults.none()) return;
    if (policy.sealed) checkSealing(schedule, wiring, faults);

    Faults withOneSlot;
    checkProgress(schedule, wiring, 1, withOneSlot);
    verdict.slots = withOneSlot.none() ? 1 : kMinSlots;
    if (!withOneSlot.none()) checkProgress(schedule, wiring, kMinSlots, faults);

    for (std::uint32_t depth = 1; depth <= maxDepth(schedule) && faults.none(); ++depth) {
      const EventGraph graph(
          schedule, wiring,
          {.depth = depth, .tiles = tilesFor(schedule, depth), .calls = kCalls, .slots = kEndless});
      Findings findings = replay(schedule, wiring, graph, faults);
      if (depth == 1) verdict.expressions = std::move(findings.expressions);
      verdict.rankOrder = findings.rankOrder && (depth == 1 || verdict.rankOrder);
    }
  };
  judge();
  verdict.rankOrder &= faults.none();
  verdict.faults = faults.list();
  return verdict;
}

}  // namespace lockstep::schedule
