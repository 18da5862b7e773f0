// The proofs about data: a symbolic execution that follows values, accesses and exposures.
#pragma once

#include <string>
#include <vector>

#include "collectives/verify/event_graph.hpp"
#include "collectives/verify/faults.hpp"

namespace lockstep::schedule {

/// What a replay found out besides faults.
struct Findings {
  std::vector<std::string> expressions;  ///< of rank 0's `out`, by chunk
  bool rankOrder = true;                 ///< of all ranks, chunks, tiles and calls
};

/// Executes the graph's events symbolically, in an order that the graph allows. Faults: a wrong or
/// undefined result; two accesses to one chunk, one of them a write, that the graph leaves
/// unordered; remote memory touched outside of acquire .. release; a barrier that lets a rank
/// through before all have come. The graph must have no circle.
Findings replay(const Schedule& schedule, const Wiring& wiring, const EventGraph& graph,
                Faults& faults);

}  // namespace lockstep::schedule
