// How a rank waits for a word that another rank writes: spin, then yield, then sleep; and how it
// wakes those who sleep. Sleeping is only for worlds with more ranks than cores, so that others pay
// nothing for it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "transport/shm/fabric.hpp"

namespace lockstep::host {

/// Wakes ranks that may sleep on a word.
class Doorbell {
 public:
  Doorbell(shm::Fabric& fabric, bool ranksOutnumberCores)
      : fabric_(fabric), armed_(ranksOutnumberCores) {}

  bool armed() const { return armed_; }
  /// `word` was just written; `rank` may sleep on it.
  void ring(const shm::Word& word, int rank) {
    if (armed_) wake(word, rank);
  }
  /// As ring, for every other rank.
  void ringAll(const shm::Word& word) {
    if (armed_) wakeAll(word);
  }

 private:
  void wake(const shm::Word& word, int rank);
  void wakeAll(const shm::Word& word);
  shm::Fabric& fabric_;
  bool armed_;
};

/// What ends a wait other than success. `check` is called every few microseconds to milliseconds.
class Guard {
 public:
  virtual ~Guard() = default;
  /// Cheap: no system call. Throws when another rank has failed or aborted.
  virtual void checkAbort() = 0;
  /// Reads the clock; throws on a passed deadline, a dead peer, a mismatched call. `attended`: this
  /// rank has done nothing but wait since the last time.
  virtual void checkAll(const shm::Awaited& awaited, bool attended) = 0;
};

/// One wait. Call `pause` after each attempt that made no progress, `progress` after one that did.
class Wait {
 public:
  Wait(shm::Fabric& fabric, Guard& guard, bool ranksOutnumberCores)
      : fabric_(fabric), guard_(guard), outnumbered_(ranksOutnumberCores) {}
  ~Wait();
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;

  void progress() {
    rounds_ = 0;
    awake();
  }
  void pause(const shm::Awaited& awaited);

 private:
  void awake();
  void sleep(const shm::Awaited& awaited);
  void checkAll(const shm::Awaited& awaited) {
    guard_.checkAll(awaited, std::exchange(attended_, true));
  }
  shm::Fabric& fabric_;
  Guard& guard_;
  bool outnumbered_;
  bool announced_ = false;  ///< my asleep word is 1
  bool attended_ = false;   ///< the guard has been asked in this wait
  std::uint32_t rounds_ = 0;
  const shm::Word* word_ = nullptr;  ///< what was announced, and its value then
  std::uint64_t seen_ = 0;
};

}  // namespace lockstep::host
