// A rank's side of the connection to the meeting point.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "base/fd.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/join_key.hpp"
#include "bootstrap/meeting_id.hpp"
#include "bootstrap/rank_set.hpp"

namespace lockstep {

/// After an error the connection is closed, which tells the other ranks; later calls fail.
class MeetingConnection {
 public:
  /// Says who is known to be gone, for waits that nobody could end otherwise.
  using Gone = std::function<RankSet()>;

  /// Joins as `rank` of `worldSize` and waits until all have come. `key`: of a keyed meeting point,
  /// or null. Throws timeout (naming who is missing), mismatch, keyExchange, bootstrap.
  MeetingConnection(const MeetingId& id, int rank, int worldSize, const JoinKey* key,
                    Deadline deadline);

  /// See Peers::allGather.
  std::vector<Bytes> allGather(std::span<const std::byte> mine, const Gone& gone,
                               Deadline deadline);
  /// Throws if the meeting point has said that another rank failed. Does not wait.
  void check();

 private:
  void join(const Hello& hello, Deadline deadline);
  void joinKeyed(const Hello& hello, const JoinKey& key, Deadline deadline);
  Bytes await(FrameType wanted, const Gone& gone, Deadline deadline);
  bool readFrame(Deadline deadline, const Gone& gone, Frame& frame);
  [[noreturn]] void throwFailure(const Failure& said, bool joining) const;
  [[noreturn]] void failMissing(const Missing& said, Clock::time_point start, bool joining) const;
  [[noreturn]] void failLost(const Gone& gone) const;

  Fd socket_;
  int rank_;
  int worldSize_;
  FrameReader reader_;
};

}  // namespace lockstep
