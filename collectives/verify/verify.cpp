#include "collectives/verify/verify.hpp"

#include "collectives/verify/event_graph.hpp"
#include "collectives/verify/replay.hpp"
#include "collectives/verify/sealing.hpp"
#include "collectives/verify/structure.hpp"
#include "collectives/verify/wiring.hpp"

namespace lockstep::schedule {
namespace {

constexpr std::uint32_t kMaxDepth = 3;
constexpr std::uint32_t kCalls = 2;

/// Exposing schedules treat the message as one tile.
std::uint32_t maxDepth(const Schedule& schedule) {
  return schedule.exposes ? 1 : kMaxDepth;
}

/// 2D+1 tiles: each place of a tile in flight is used, reused, and reused while others still run.
std::uint32_t tilesFor(const Schedule& schedule, std::uint32_t depth) {
  return schedule.exposes ? 1 : 2 * depth + 1;
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
    for (const std::uint32_t event : circle) text += graph.describe(event) + ", which waits for ";
    faults.add("deadlock, a circular wait: {}the first", text);
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
