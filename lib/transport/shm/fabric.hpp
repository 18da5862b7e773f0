// The shared memory of a communicator: my segment, my peers' segments, and the ends of all
// channels.
#pragma once

#include <array>
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

  // The lines of a copy from `writer` to `reader`, of which this rank is one.
  WriterClaims& writerClaims(int reader) { return outArea(rank_, reader)->copy; }
  const WriterClaims& claimsOfWriter(int writer) { return outArea(writer, rank_)->copy; }
  ReaderClaims& readerClaims(int writer) { return inArea(rank_, writer)->copy; }
  const ReaderClaims& claimsOfReader(int reader) { return inArea(reader, rank_)->copy; }

  ControlArea& mine() { return *mine_; }
  const ControlArea& of(int rank) const { return *controls_[static_cast<std::size_t>(rank)]; }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  std::byte* baseOf(int rank) const { return segments_[index(rank)]->data(); }
  void mapSegments(Peers& peers, const Fd& mine, Deadline deadline);
  void shareSegments(Peers& peers, Deadline deadline);
  void connectChannels();
  /// Of the channel that `owner` writes, number `channel` (see Layout).
  OutArea* outArea(int owner, int channel) const {
    return reinterpret_cast<OutArea*>(baseOf(owner) + layout_.outArea(index(channel)));
  }
  InArea* inArea(int owner, int channel) const {
    return reinterpret_cast<InArea*>(baseOf(owner) + layout_.inArea(index(channel)));
  }

  int rank_, worldSize_;
  Layout layout_;
  std::vector<std::shared_ptr<Mapping>> segments_;  ///< by rank
  ControlArea* mine_;
  std::vector<const ControlArea*> controls_;
  /// By protocol; out: by reader, everyone last; in: by writer, then everyone-channels by writer.
  std::array<std::vector<OutChannel>, kProtocols> out_;
  std::array<std::vector<InChannel>, kProtocols> in_;
};

}  // namespace lockstep::shm
