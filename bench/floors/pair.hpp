// The team of two that most floors are for: a core each, so they spin.
#pragma once

#include "bench/floors/team.hpp"

namespace lockstep::floors {

class Pair : public Team {
 public:
  explicit Pair(std::size_t sideBytes) : Team(2, sideBytes, Waiting::spin) {}

  /// As Team::enter; both ranks at once.
  void enter(int rank, int cpu);

  int peer() const { return 1 - rank(); }
  pid_t peerPid() const { return peerPid_; }

  /// The peer's copy of something on this rank's side.
  template <class T>
  T* theirs(T* mine) const {
    return at(peer(), mine);
  }

 private:
  pid_t peerPid_ = 0;
};

}  // namespace lockstep::floors
