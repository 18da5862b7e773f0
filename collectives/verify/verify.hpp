// Proves a schedule right without running it. README.md says what is proven and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/schedule.hpp"

namespace lockstep::schedule {

/// What must hold besides correctness.
struct Policy {
  /// Every rank boundary is a trust boundary: all channels sealed, no exposure.
  bool sealed = false;
};

/// Executors give every channel at least so many slots. With one, a circle of operations that take
/// a message and pass it on (a ring's) can never start: each waits for room that only the next
/// one's passing on makes. With two it moves.
inline constexpr std::uint32_t kMinSlots = 2;

struct Verdict {
  /// Empty when all proofs hold. Each entry names the fault, the rank, the operation and the
  /// element.
  std::vector<std::string> faults;
  /// How each chunk of `out` is computed on rank 0, e.g. "round(in0 + in1 + in2)"; one entry per
  /// chunk.
  std::vector<std::string> expressions;
  /// All ranks and chunks have the same expression with inputs in rank order, rounded once.
  bool rankOrder = false;
  /// Fewest slots per channel that no interleaving deadlocks with: 1 or kMinSlots.
  std::uint32_t slots = kMinSlots;
  bool ok() const { return faults.empty(); }
};

/// The five proofs of the specification: right result, no deadlock, no race, bounds, sealing; for
/// one tile, for 2D+1 tiles in flight D at a time (D = 1, 2, 3), and for two calls in a row with
/// any skew. Holds for all D >= 1 and all channels of kMinSlots slots or more. Stops collecting
/// after 20 faults. Pure; about a millisecond for 8 ranks, 0.3 s for 64.
Verdict verify(const Schedule& schedule, const Policy& policy);

}  // namespace lockstep::schedule
