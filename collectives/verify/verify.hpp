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

struct Verdict {
  /// Empty when all proofs hold. Each entry names the fault, the rank, the operation and the
  /// element.
  std::vector<std::string> faults;
  /// How each chunk of `out` is computed on rank 0, e.g. "round(in0 + in1 + in2)"; one entry per
  /// chunk.
  std::vector<std::string> expressions;
  /// All ranks and chunks have the same expression with inputs in rank order, rounded once.
  bool rankOrder = false;
  bool ok() const { return faults.empty(); }
};

/// The five proofs of the specification: right result, no deadlock, no race, bounds, sealing; for
/// one tile, for 2D+1 tiles in flight D at a time (D = 1, 2, 3), and for two calls in a row with
/// any skew. Stops collecting after 20 faults.
Verdict verify(const Schedule& schedule, const Policy& policy);

}  // namespace lockstep::schedule
