// Happens-before by vector clocks: walking the events of a graph in order, tells of any event seen
// whether it came before the one at hand in every execution.
#pragma once

#include <cstdint>
#include <vector>

#include "collectives/verify/event_graph.hpp"

namespace lockstep::schedule {

/// Where an event stands: the `time`-th of its chain. Chains are sequential: the operations of a
/// lane on every D-th tile, or a caller's.
struct Stamp {
  std::uint32_t chain = 0;
  std::uint32_t time = 0;  ///< from 1 on; 0: before everything
  std::uint32_t event = 0;
};

class Clocks {
 public:
  /// Both must outlive the clocks.
  Clocks(const Wiring& wiring, const EventGraph& graph);

  /// Goes to `event`, whose predecessors must all have been visited and left.
  Stamp visit(std::uint32_t event);
  /// Whether the event of `stamp` came before the visited one, or is it.
  bool before(const Stamp& stamp) const { return stamp.time <= now_[stamp.chain]; }
  /// Hands the clock of the visited event on to those that wait for it.
  void leave();

 private:
  using Clock = std::vector<std::uint32_t>;  ///< by chain

  std::uint32_t chainOf(const Event& event) const;

  const Wiring& wiring_;
  const EventGraph& graph_;
  std::size_t chains_;
  std::uint32_t at_ = 0;
  Clock now_;
  std::vector<Clock> pending_;  ///< by event: what its predecessors handed on; empty if nothing yet
};

}  // namespace lockstep::schedule
