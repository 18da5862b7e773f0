// What becomes of a rank when a call fails: its communicator is over, the others hear why, and
// every error says so.
#include <algorithm>
#include <array>
#include <atomic>
#include <exception>

#include "base/fail.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

void CommunicatorImpl::poison(ErrorCode code, int blamed) noexcept {
  if (cause_.load(std::memory_order_relaxed).known) return;  // the first reason stays
  shm::ControlArea& mine = fabric_.mine();
  const auto me = static_cast<std::int8_t>(rank());
  const std::uint64_t calls = mine.call.sequence.load(std::memory_order_relaxed);
  Cause cause{.known = true,
              .code = code,
              .culprit = blamed < 0 ? me : static_cast<std::int8_t>(blamed),
              .witness = me,
              .sequence = static_cast<std::uint32_t>(calls)};
  // Because of another rank: its reason is ours.
  if (code == ErrorCode::aborted && blamed >= 0)
    if (const Cause heard = watch_.heard(); heard.known) cause = heard;
  Cause none;
  if (!cause_.compare_exchange_strong(none, cause)) return;
  if (inherited()) return;  // the parent's has not failed
  tell(mine.status, cause);
  mine.status.presence.store(static_cast<std::uint64_t>(shm::Presence::failed),
                             std::memory_order_release);
  // Seen before whatever the buffers' owner writes to them from here on (Transfers::checkLender).
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

std::exception_ptr CommunicatorImpl::giveUp() noexcept {
  const std::exception_ptr thrown = std::current_exception();
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    poison(error.code(), error.rank());
    try {
      return std::make_exception_ptr(withCause(error));
    } catch (...) {  // no memory
    }
  } catch (...) {
    poison(ErrorCode::system, rank());  // no memory, most likely
  }
  return thrown;
}

/// What has failed, or waits for somebody who has, need not know why.
Error CommunicatorImpl::withCause(const Error& error) const {
  std::string text = error.what();
  if (inherited() || text.ends_with(kGoOn)) return error;
  const Cause cause = cause_.load(std::memory_order_relaxed);
  const bool another = error.code() == ErrorCode::aborted;
  if (another && text.find(toString(cause)) == std::string::npos) text += ": " + watch_.say(cause);
  return Error(error.code(), another ? cause.culprit : error.rank(), error.operation(),
               text + std::string(kGoOn));
}

void CommunicatorImpl::abort() noexcept {
  if (inherited()) return;  // not ours to end
  poison(ErrorCode::aborted, -1);
}

void CommunicatorImpl::throwFailedBefore() const {
  const Cause cause = cause_.load(std::memory_order_relaxed);
  throw Error(ErrorCode::aborted, cause.culprit, "",
              fmt::format("this communicator has failed before: {}{}", watch_.say(cause), kGoOn));
}

/// If another rank has given up, that explains more than what it made of the exchange; but for a
/// refusal of keys, which has its own reason and rank, and for a forgery: that is a fact, when the
/// word that a rank has failed may be a forgery too.
void CommunicatorImpl::throwFailed(std::string_view operation, const Error& error) {
  const bool fact = error.code() == ErrorCode::keyExchange || error.code() == ErrorCode::integrity;
  try {
    if (!fact) watch_.checkFailed(operation);
    throw Error(error.code(), error.rank(), std::string(operation),
                fmt::format("{}: {}", operation, error.what()));
  } catch (...) {
    std::rethrow_exception(giveUp());
  }
}

void CommunicatorImpl::talk(std::string_view operation, const std::function<void()>& part) {
  peers_->whileWaiting([this, operation] { watch_.checkFailed(operation); });
  try {
    part();
  } catch (const Error& error) {
    constexpr std::array kOneRanks{ErrorCode::integrity, ErrorCode::keyExchange,
                                   ErrorCode::timeout,   ErrorCode::peerDied,
                                   ErrorCode::aborted,   ErrorCode::bootstrap};
    if (std::ranges::find(kOneRanks, error.code()) == kOneRanks.end()) throw;
    std::rethrow_exception(giveUp());
  }
}

}  // namespace lockstep
