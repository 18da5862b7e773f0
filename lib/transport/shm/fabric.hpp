// The shared memory of a communicator: my segment, my peers' segments, and the ends of all
// channels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mapping.hpp"
#include "bootstrap/peers.hpp"
#include "transport/shm/channel.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::shm {

class Fabric {
 public:
  /// Collective: makes my segment, passes it to the peers, maps theirs.
  Fabric(Peers& peers, Deadline deadline);

  int rank() const { return rank_; }
  int worldSize() const { return worldSize_; }

  /// My end of a channel I write: to `reader`, or to everyone for schedule::kEveryone (-1).
  OutChannel& out(int reader, Protocol protocol);
  /// My end of a channel I read: the pair channel from `writer`, or its channel to everyone.
  InChannel& in(int writer, bool toEveryone, Protocol protocol);

  ControlArea& mine() { return *mine_; }
  const ControlArea& of(int rank) const { return *controls_[static_cast<std::size_t>(rank)]; }

 private:
  std::size_t index(int rank) const { return static_cast<std::size_t>(rank); }
  std::byte* baseOf(int rank) const { return segments_[index(rank)]->data(); }
  void mapSegments(Peers& peers, const Fd& mine, Deadline deadline);
  void shareSegments(Peers& peers, Deadline deadline);
  void connectChannels();

  int rank_, worldSize_;
  Layout layout_;
  std::vector<std::shared_ptr<Mapping>> segments_;  ///< by rank
  ControlArea* mine_;
  std::vector<const ControlArea*> controls_;
  /// Two protocols each; out: by reader, everyone last; in: by writer, then everyone-channels by
  /// writer.
  std::vector<OutChannel> out_[2];
  std::vector<InChannel> in_[2];
};

}  // namespace lockstep::shm
