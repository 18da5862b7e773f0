// The proofs that need no order: each operation is well formed and within bounds.
#pragma once

#include "collectives/schedule.hpp"
#include "collectives/verify/faults.hpp"

namespace lockstep::schedule {

/// Checks every operation by itself: kinds and numbers of operands, ranks, channels, chunk ranges,
/// overlaps; and that an exposing program exposes, acquires, releases and closes once. All other
/// proofs rely on it.
void checkStructure(const Schedule& schedule, Faults& faults);

}  // namespace lockstep::schedule
