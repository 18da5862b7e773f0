// A schedule unrolled into events and what must come before what. Since every wait of a schedule
// is for a fixed set of events, this order is all there is to know of its executions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collectives/verify/wiring.hpp"

namespace lockstep::schedule {

inline constexpr std::uint32_t kEndless = 0;  ///< Extent::slots of channels that are never full

/// How far to unroll, and with how much room.
struct Extent {
  std::uint32_t depth = 1;  ///< D: tile t+D of a rank starts after its tile t is complete
  std::uint32_t tiles = 1;  ///< T, per call
  std::uint32_t calls = 1;
  std::uint32_t slots = kEndless;  ///< S: step s of a channel is sent after all have read step s-S
};

struct Event {
  enum class Kind : std::uint8_t {
    op,        ///< an operation on a tile
    done,      ///< all lanes of a rank are through a tile
    boundary,  ///< between calls, the caller of a rank has its buffers: before `call`, after call-1
  };
  Kind kind = Kind::op;
  std::uint32_t call = 0;
  std::uint32_t tile = 0;  ///< op and done
  std::uint32_t site = 0;  ///< op: index into Wiring::sites
  int rank = 0;
};

class EventGraph {
 public:
  /// Both must outlive the graph.
  EventGraph(const Schedule& schedule, const Wiring& wiring, Extent extent);

  std::uint32_t size() const { return size_; }
  const Extent& extent() const { return extent_; }
  std::uint32_t world() const { return world_; }
  Event event(std::uint32_t id) const;
  /// The events that wait for `id` directly.
  std::span<const std::uint32_t> after(std::uint32_t id) const {
    return {successors_.data() + offsets_[id], offsets_[id + 1] - offsets_[id]};
  }

  /// All events, each after those it waits for. Shorter than size() when some wait in a circle.
  std::vector<std::uint32_t> order() const;
  /// Events of which each waits for the next, and the last for the first; empty if there are none.
  std::vector<std::uint32_t> circle() const;

  /// "rank 1 lane 0 op 3 (..)", "the caller of rank 1"
  std::string describe(std::uint32_t id) const;

 private:
  using Edge = std::pair<std::uint32_t, std::uint32_t>;

  std::uint32_t opId(std::uint32_t instance, std::uint32_t site) const;
  std::uint32_t doneId(std::uint32_t instance, int rank) const;
  std::uint32_t boundaryId(std::uint32_t call, int rank) const;
  std::vector<Edge> edges() const;
  void addPrograms(std::vector<Edge>& edges) const;
  void addMessages(std::vector<Edge>& edges) const;
  void addExposures(std::vector<Edge>& edges) const;
  /// By event: for how many it waits.
  std::vector<std::uint32_t> waits() const;

  const Schedule& schedule_;
  const Wiring& wiring_;
  Extent extent_;
  std::uint32_t world_ = 0;
  std::uint32_t instances_ = 0;  ///< (call, tile) pairs; instance = call * tiles + tile
  std::uint32_t size_ = 0;
  std::vector<std::uint32_t> offsets_, successors_;
};

}  // namespace lockstep::schedule
