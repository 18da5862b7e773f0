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
  for (int r = 0; r < fabric_.worldSize(); ++r) {
    if (presenceOf(fabric_, r) != shm::Presence::failed) continue;
    const int first = firstToFail(r);
    throw Error(ErrorCode::aborted, first, std::string(operation),
                fmt::format("{}: rank {} gave up ({}); this communicator cannot go on", operation,
                            first, whyFailed(first)));
  }
}

/// A rank may have failed because another had: follows the blame as far as it leads.
int Watch::firstToFail(int failed) const {
  // Each rank once at most, whatever the words say: in sealed modes anyone may write them.
  for (int hops = 1; hops < fabric_.worldSize(); ++hops) {
    const shm::StatusLine& status = fabric_.of(failed).status;
    const std::uint64_t code = status.errorCode.load(std::memory_order_relaxed);
    const std::uint64_t blamed = status.blamedRank.load(std::memory_order_relaxed);
    if (code != static_cast<std::uint64_t>(ErrorCode::aborted) || blamed == 0 ||
        blamed > static_cast<std::uint64_t>(fabric_.worldSize()) ||
        presenceOf(fabric_, static_cast<int>(blamed - 1)) != shm::Presence::failed)
      break;
    failed = static_cast<int>(blamed - 1);
  }
  return failed;
}

/// "timeout, it blames rank 3"
std::string Watch::whyFailed(int rank) const {
  const shm::StatusLine& status = fabric_.of(rank).status;
  const std::uint64_t code = status.errorCode.load(std::memory_order_relaxed);
  const std::uint64_t blamed = status.blamedRank.load(std::memory_order_relaxed);
  const auto known = code <= static_cast<std::uint64_t>(ErrorCode::internal);
  std::string why = known ? std::string(name(static_cast<ErrorCode>(code))) : "unknown error";
  if (blamed != 0 && blamed <= static_cast<std::uint64_t>(fabric_.worldSize()))
    why += fmt::format(", it blames rank {}", blamed - 1);
  return why;
}

void Watch::throwFailed(int rank) const {
  checkCalls();  // if calls differ, that is what there is to say, whoever saw it first
  const int first = firstToFail(rank);
  const std::uint64_t sequence = fabric_.of(first).status.sequence.load(std::memory_order_relaxed);
  throw Error(ErrorCode::aborted, first, operation(),
              fmt::format("{}: rank {} gave up in call #{} ({}); this communicator cannot go on",
                          operation(), first, sequence, whyFailed(first)));
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

/// Who is in a later call has done all it had to do in this one: what is still missing then will
/// never come. Its last word may have arrived after we looked for it, so only the second time in a
/// row counts, when nothing has come in between.
void Watch::checkAhead(const shm::Awaited& awaited) {
  const auto theirs = awaited.rank < 0 ? std::nullopt : shm::read(fabric_.of(awaited.rank).call);
  const bool ahead = theirs && theirs->sequence > call_->sequence;
  const std::uint64_t there =
      awaited.word == nullptr ? 0 : awaited.word->load(std::memory_order_relaxed);
  if (ahead && aheadOf_ == awaited.word && there == was_) throwAhead(awaited.rank, *theirs);
  aheadOf_ = ahead ? awaited.word : nullptr;
  was_ = there;
}

void Watch::throwAhead(int rank, const shm::CallDescription& theirs) const {
  const std::string gone = fmt::format("is in {} already", shm::toString(theirs));
  if (transfers_ != nullptr)
    throwMismatch(rank,
                  fmt::format("{}: rank {} {}, without its part of this", operation(), rank, gone));
  const shm::CallLine &line = fabric_.of(rank).call, &mine = fabric_.mine().call;
  if (shm::firstDifference(line, mine))
    throwMismatch(rank, shm::mismatchText(rank, line, fabric_.rank(), mine, *call_));
  throwMismatch(rank, fmt::format("{}: rank {} waits for rank {}, which {}: an earlier call, or a "
                                  "send or receive, differed between them{}; all ranks must make "
                                  "the same calls in the same order",
                                  operation(), fabric_.rank(), rank, gone,
                                  sealed_ ? ", or its message was held back or lost" : ""));
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
      throw Error(
          ErrorCode::peerDied, r, operation(),
          fmt::format("{}: the process of rank {} has died; the others can go on without it "
                      "(shrink), or create a new communicator",
                      operation(), r));
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
