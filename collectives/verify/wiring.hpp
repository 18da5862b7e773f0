// Which send meets which receive: the operations of all ranks in one list, and the messages that
// join them. The proofs and the secure pass both follow messages; here is where they are paired.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/schedule.hpp"
#include "collectives/verify/faults.hpp"

namespace lockstep::schedule {

/// Where an operation stands.
struct Site {
  int rank = 0;
  std::uint32_t lane = 0;   ///< within the rank
  std::uint32_t index = 0;  ///< within the lane
  std::uint32_t chain = 0;  ///< the lane's number among all lanes of all ranks
};

/// An operand of an operation: the place where a message leaves or arrives.
struct MessageEnd {
  std::uint32_t site = 0;     ///< index into Wiring::sites
  std::uint32_t operand = 0;  ///< index into dst of the sender, src of a reader
};

/// The `index`-th message of a channel in a tile.
struct Message {
  Channel channel;
  std::uint32_t index = 0;
  std::uint32_t perTile = 0;  ///< messages of the channel in a tile (K)
  std::uint32_t first = 0;    ///< Wiring::messages[first + j] is the channel's message j
  MessageEnd sent;
  std::vector<MessageEnd> received;  ///< one per reader
  std::uint32_t origin = 0;  ///< the message that this one is, when it was forwarded; or itself
};

struct Wiring {
  std::vector<Site> sites;  ///< rank by rank, lane by lane, in program order
  std::uint32_t chains = 0;
  std::vector<Message> messages;  ///< channel by channel, in the order they are sent
  /// By site: the messages it sends and receives, in the order of its operands.
  std::vector<std::vector<std::uint32_t>> sends, receives;
};

/// Pairs sends with receives. Needs a schedule that checkStructure accepts. Faults: a channel used
/// by two lanes on one side, counts or ranges that differ between the ends, messages that are
/// forwarded in a circle and never sent. The wiring is only complete when there are none.
Wiring wire(const Schedule& schedule, Faults& faults);

inline const Op& opAt(const Schedule& schedule, const Site& site) {
  return schedule.programs[site.rank].lanes[site.lane][site.index];
}
inline Op& opAt(Schedule& schedule, const Site& site) {
  return schedule.programs[site.rank].lanes[site.lane][site.index];
}

/// "rank 1 lane 0 op 3 (recv out[2] <- 0>1[2])"
std::string describe(const Schedule& schedule, const Site& site);

}  // namespace lockstep::schedule
