// What ends a wait: another rank's failure, a dead process, a call that does not match, the
// deadline.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "bootstrap/peers.hpp"
#include "communicator/cause.hpp"
#include "executor/host/transfer.hpp"
#include "executor/host/wait.hpp"
#include "transport/shm/call.hpp"

namespace lockstep {

class Watch final : public host::Guard {
 public:
  /// `sealed`: what the fabric says of calls is hearsay, and errors say so.
  Watch(shm::Fabric& fabric, Peers& peers, bool sealed)
      : fabric_(fabric), peers_(peers), sealed_(sealed) {}

  /// Before each call, which outlives its waits. Reads no clock.
  void begin(const shm::CallDescription& call, Clock::duration timeout) {
    call_ = &call;
    transfers_ = nullptr;
    timeout_ = timeout;
    started_ = false;
    aheadOf_ = nullptr;
  }
  /// Before sends and receives between calls, of which `latest` was the last.
  void begin(const host::Transfers& transfers, const shm::CallDescription& latest,
             Clock::duration timeout) {
    begin(latest, timeout);
    transfers_ = &transfers;
  }
  /// Something has moved: the next wait is a new one.
  void moved() { started_ = false; }
  void checkAbort() override;
  void checkAll(const shm::Awaited& awaited, bool attended) override;
  /// Outside of calls, in `operation`: throws if a rank has failed or aborted. Any time.
  void checkFailed(std::string_view operation) const;
  /// What the first rank that has failed says of it; not known if none has. Any time.
  Cause heard() const;
  /// A cause in words, which call themselves hearsay where they are.
  std::string say(const Cause& cause) const;

 private:
  std::string operation() const;
  void checkCalls() const;
  void checkAhead(const shm::Awaited& awaited);
  [[noreturn]] void throwAhead(int rank, const shm::CallDescription& theirs) const;
  [[noreturn]] void throwWithout(int rank, std::string_view where) const;
  std::string_view heldBack() const;
  [[noreturn]] void throwMismatch(int rank, const std::string& text) const;
  void checkPresence(const shm::Awaited& awaited);
  int lateRank(int awaited) const;
  [[noreturn]] void throwTimeout(const shm::Awaited& awaited) const;
  [[noreturn]] void throwFailed(int rank) const;
  [[noreturn]] void throwCause(const Cause& cause, std::string_view operation) const;

  shm::Fabric& fabric_;
  Peers& peers_;
  bool sealed_;
  const shm::CallDescription* call_ = nullptr;
  const host::Transfers* transfers_ = nullptr;  ///< under way after that call
  Clock::duration timeout_{};
  bool started_ = false;  ///< the clock has been read in this call
  Clock::time_point start_, looked_, nextCalls_, nextPresence_;
  const shm::Word* aheadOf_ = nullptr;  ///< awaited from a rank that was in a later call
  std::uint64_t was_ = 0;               ///< what it was then
  std::uint64_t seenLeft_ = 0;  ///< bit per rank that had destroyed its communicator when we looked
};

}  // namespace lockstep
