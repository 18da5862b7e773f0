#include "communicator/watch.hpp"

#include <chrono>
#include <utility>

#include "base/fail.hpp"
#include <lockstep/error.hpp>

namespace lockstep {

namespace {

// A wait this long is worth a look at the other ranks' calls, and a system call to see whether they
// live. The bound for a dead process to be noticed is 100 ms.
constexpr auto kCallsInterval = std::chrono::milliseconds(2);
constexpr auto kPresenceInterval = std::chrono::milliseconds(10);
/// Longer than this between two looks, and the caller was doing something else (an asynchronous
/// operation that nobody drove): that time is nobody's fault.
constexpr auto kUnwatched = std::chrono::milliseconds(50);
/// Who does nothing but wait has to wait for a core too, where others keep them busy: that counts,
/// or there would be no deadline. More than this was a stopped process.
constexpr auto kStopped = std::chrono::seconds(1);

shm::Presence presenceOf(const shm::Fabric& fabric, int rank) {
  return static_cast<shm::Presence>(
      fabric.of(rank).status.presence.load(std::memory_order_acquire));
}

}  // namespace

/// What this rank is doing, for error texts.
std::string Watch::operation() const {
  return transfers_ == nullptr || transfers_->idle() ? shm::toString(*call_)
                                                     : host::toString(transfers_->waiting());
}

void Watch::checkAbort() {
  for (int r = 0; r < fabric_.worldSize(); ++r)
    if (presenceOf(fabric_, r) == shm::Presence::failed) throwFailed(r);
}

void Watch::checkFailed(std::string_view operation) const {
  if (const Cause cause = heard(); cause.known) throwCause(cause, operation);
}

Cause Watch::heard() const {
  for (int r = 0; r < fabric_.worldSize(); ++r)
    if (presenceOf(fabric_, r) == shm::Presence::failed)
      return hear(fabric_.of(r).status, r, fabric_.worldSize());
  return {};
}

void Watch::throwFailed(int rank) const {
  checkCalls();  // if calls differ, that is what there is to say, whoever saw it first
  throwCause(hear(fabric_.of(rank).status, rank, fabric_.worldSize()), operation());
}

void Watch::throwCause(const Cause& cause, std::string_view operation) const {
  throw Error(ErrorCode::aborted, cause.culprit, std::string(operation),
              fmt::format("{}: {}", operation, say(cause)));
}

std::string Watch::say(const Cause& cause) const {
  const bool hearsay = sealed_ && cause.witness != fabric_.rank();
  return toString(cause) + std::string(hearsay ? shm::kHearsay : "");
}

void Watch::checkAll(const shm::Awaited& awaited, bool attended) {
  checkAbort();
  const auto now = Clock::now();
  if (!started_) {
    started_ = true;
    start_ = looked_ = now;
    nextCalls_ = now + kCallsInterval;
    nextPresence_ = now + kPresenceInterval;
    return;
  }
  const auto unseen = now - std::exchange(looked_, now);
  if (attended && unseen > kStopped) start_ += unseen - kStopped;
  if (!attended && unseen > kUnwatched) start_ += unseen;
  if (now >= nextCalls_) {
    nextCalls_ = now + kCallsInterval;
    checkCalls();
    checkAhead(awaited);
  }
  if (now >= nextPresence_) {
    nextPresence_ = now + kPresenceInterval;
    checkPresence(awaited);
  }
  if (now - start_ >= timeout_) throwTimeout(awaited);
}

/// Ranks in different calls may wait for each other on different channels, where no message carries
/// a fingerprint.
void Watch::checkCalls() const {
  if (transfers_ != nullptr) return;  // between calls
  for (int r = 0; r < fabric_.worldSize(); ++r) {
    const shm::CallLine& line = fabric_.of(r).call;
    const auto theirs = shm::read(line, call_->sequence);
    if (theirs && *theirs != *call_)
      throwMismatch(r, shm::mismatchText(r, line, fabric_.rank(), fabric_.mine().call, *call_));
  }
}

/// Who is in a later call, or tells the others something that this rank has not come to, has done
/// all it had to do in this one: what is still missing then will never come. Its last word may have
/// arrived after we looked for it, so only the second time in a row counts, when nothing has come
/// in between.
void Watch::checkAhead(const shm::Awaited& awaited) {
  const int rank = awaited.rank < 0 ? fabric_.rank() : awaited.rank;
  const auto theirs = shm::read(fabric_.of(rank).call);
  const auto talk = shm::talkAhead(fabric_.of(rank).call, fabric_.mine().call);
  const bool ahead = talk || (theirs && theirs->sequence > call_->sequence);
  const std::uint64_t there =
      awaited.word == nullptr ? 0 : awaited.word->load(std::memory_order_relaxed);
  if (ahead && aheadOf_ == awaited.word && there == was_) {
    if (talk) throwWithout(rank, *talk);
    throwAhead(rank, *theirs);
  }
  aheadOf_ = ahead ? awaited.word : nullptr;
  was_ = there;
}

void Watch::throwWithout(int rank, std::string_view where) const {
  throwMismatch(rank,
                fmt::format("{}: rank {} is in {} already, without its part of this{}; all ranks "
                            "must make the same calls in the same order",
                            operation(), rank, where, heldBack()));
}

void Watch::throwAhead(int rank, const shm::CallDescription& theirs) const {
  if (transfers_ != nullptr) throwWithout(rank, shm::toString(theirs));
  const shm::CallLine &line = fabric_.of(rank).call, &mine = fabric_.mine().call;
  if (shm::firstDifference(line, mine))
    throwMismatch(rank, shm::mismatchText(rank, line, fabric_.rank(), mine, *call_));
  throwMismatch(rank,
                fmt::format("{}: rank {} waits for rank {}, which is in {} already: an earlier "
                            "call, or a send or receive, differed between them{}; all ranks "
                            "must make the same calls in the same order",
                            operation(), fabric_.rank(), rank, shm::toString(theirs), heldBack()));
}

/// What else a message that does not come may mean.
std::string_view Watch::heldBack() const {
  return sealed_ ? ", or its message was held back or lost" : "";
}

void Watch::throwMismatch(int rank, const std::string& text) const {
  throw Error(ErrorCode::mismatch, rank, operation(),
              sealed_ ? text + std::string(shm::kHearsay) : text);
}

void Watch::checkPresence(const shm::Awaited& awaited) {
  const std::uint64_t gone = peers_.gone();
  for (int r = 0; r < fabric_.worldSize(); ++r) {
    const bool left = presenceOf(fabric_, r) == shm::Presence::left;
    if ((gone >> r & 1) == 0 && !left) continue;
    if (presenceOf(fabric_, r) == shm::Presence::failed)
      throwFailed(r);  // it told us before it died
    if (!left)
      throw Error(ErrorCode::peerDied, r, operation(),
                  fmt::format("{}: the process of rank {} has died", operation(), r));
    // Its last message may have come after we looked for it: look once more.
    const std::uint64_t bit = std::uint64_t{1} << r;
    if (awaited.rank == r && (seenLeft_ & bit) != 0)
      throw Error(ErrorCode::peerDied, r, operation(),
                  fmt::format("{}: rank {} has destroyed its communicator without making this call",
                              operation(), r));
    seenLeft_ |= bit;
  }
}

/// Whoever we wait for may itself wait for somebody who has not come.
int Watch::lateRank(int awaited) const {
  const auto isLate = [this](int rank) {
    const auto theirs = shm::read(fabric_.of(rank).call);
    return theirs && theirs->sequence < call_->sequence;
  };
  if (isLate(awaited)) return awaited;
  for (int r = 0; r < fabric_.worldSize(); ++r)
    if (isLate(r)) return r;
  return awaited;
}

void Watch::throwTimeout(const shm::Awaited& awaited) const {
  const int late = lateRank(awaited.rank);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(timeout_).count();
  const auto theirs = shm::read(fabric_.of(late).call);
  std::string state = "has made no call yet";
  if (fabric_.of(late).call.transfers.load(std::memory_order_relaxed) != 0)
    state = transfers_ == nullptr
                ? "is itself waiting in a send or receive"
                : "is itself waiting in a send or receive: transfers that wait for each other "
                  "belong into one exchange or Group";
  else if (transfers_ != nullptr)
    state = fmt::format("neither sends nor receives{}",
                        theirs && theirs->sequence != 0
                            ? fmt::format(" (its latest call is {})", shm::toString(*theirs))
                            : "");
  else if (theirs && *theirs == *call_)
    state = "is in the same call, and slow or waiting itself";
  else if (theirs && theirs->sequence != 0)
    state = fmt::format("is late: its latest call is {}", shm::toString(*theirs));
  throw Error(
      ErrorCode::timeout, late, operation(),
      fmt::format(
          "{}: rank {} waited {} ms for rank {}, which {}. Raise Options::timeout if that is "
          "no fault",
          operation(), fabric_.rank(), milliseconds, late, state));
}

}  // namespace lockstep
