// Operations that are asked for now and done later: a communicator runs its collectives one after
// the other, and the transfers between two of them side by side.
#include <array>
#include <limits>
#include <utility>

#include "base/fail.hpp"
#include "communicator/communicator_impl.hpp"

namespace lockstep {

using Direction = host::Transfer::Direction;

// ---- what is asked for ----

Pending CommunicatorImpl::pendingCall(Request request, const void* in, void* out) const {
  Pending operation;
  operation.isCollective = true;
  operation.extent = prepare(request, in, out);
  operation.request = request;
  operation.in = in;
  operation.out = out;
  return operation;
}

Pending CommunicatorImpl::pendingSend(const void* data, std::size_t count, DataType type,
                                      int to) const {
  return pendingTransfer(Direction::send, const_cast<void*>(data), count, type, to);  // NOLINT
}

Pending CommunicatorImpl::pendingReceive(void* data, std::size_t count, DataType type,
                                         int from) const {
  return pendingTransfer(Direction::receive, data, count, type, from);
}

Pending CommunicatorImpl::pendingTransfer(Direction direction, void* data, std::size_t count,
                                          DataType type, int peer) const {
  const char* what = direction == Direction::send ? "send" : "receive";
  if (static_cast<std::size_t>(type) >= kDataTypes)
    fail(ErrorCode::invalidArgument, "{}: no such data type ({})", what, static_cast<int>(type));
  if (peer < 0 || peer >= worldSize())
    fail(ErrorCode::invalidArgument, "{}: rank {} is not in a world of {} (0 to {})", what, peer,
         worldSize(), worldSize() - 1);
  if (count > std::numeric_limits<std::ptrdiff_t>::max() / sizeOf(type))
    fail(ErrorCode::invalidArgument, "{}: count {} is more than memory can hold", what, count);
  if (data == nullptr && count != 0)
    fail(ErrorCode::invalidArgument, "{}: the data is null, but count is {}", what, count);
  if (isOpen(data, count * sizeOf(type))) refuseOpen(what);
  Pending operation;
  operation.direction = direction;
  operation.peer = peer;
  operation.data = data;
  operation.count = count;
  operation.type = type;
  return operation;
}

namespace {

/// The elements that the parts of a buffer reach to.
std::size_t reach(const CommunicatorImpl::Parts& parts, const char* which, int worldSize,
                  DataType type) {
  if (parts.counts.size() != static_cast<std::size_t>(worldSize) ||
      parts.offsets.size() != parts.counts.size())
    fail(ErrorCode::invalidArgument,
         "alltoallv: {} counts and {} offsets of {} for a world of {}; both need one per rank",
         parts.counts.size(), parts.offsets.size(), which, worldSize);
  std::size_t most = 0;
  for (std::size_t r = 0; r < parts.counts.size(); ++r) {
    std::size_t end = 0;
    if (__builtin_add_overflow(parts.counts[r], parts.offsets[r], &end) ||
        end > std::numeric_limits<std::ptrdiff_t>::max() / sizeOf(type))
      fail(ErrorCode::invalidArgument,
           "alltoallv: {} for rank {}: count {} at offset {} is more than memory can hold", which,
           r, parts.counts[r], parts.offsets[r]);
    if (parts.counts[r] != 0) most = std::max(most, end);
  }
  return most;
}

/// Two parts of `out` that overlap would be written in any order.
void checkApart(const CommunicatorImpl::Parts& out) {
  for (std::size_t a = 0; a < out.counts.size(); ++a)
    for (std::size_t b = 0; b < a; ++b)
      if (out.counts[a] != 0 && out.counts[b] != 0 &&
          out.offsets[a] < out.offsets[b] + out.counts[b] &&
          out.offsets[b] < out.offsets[a] + out.counts[a])
        fail(ErrorCode::invalidArgument, "alltoallv: what ranks {} and {} send overlaps in out", b,
             a);
}

}  // namespace

std::vector<Pending> CommunicatorImpl::pendingAllToAllV(const void* in, const Parts& inParts,
                                                        void* out, const Parts& outParts,
                                                        DataType type) const {
  if (static_cast<std::size_t>(type) >= kDataTypes)
    fail(ErrorCode::invalidArgument, "alltoallv: no such data type ({})", static_cast<int>(type));
  const std::size_t size = sizeOf(type);
  const std::size_t inBytes = reach(inParts, "in", worldSize(), type) * size;
  const std::size_t outBytes = reach(outParts, "out", worldSize(), type) * size;
  checkApart(outParts);
  if (overlap(in, inBytes, out, outBytes))
    fail(ErrorCode::invalidArgument, "alltoallv: in and out overlap");
  const auto at = [&](const void* base, const Parts& parts, std::size_t r) {
    return base == nullptr ? nullptr
                           : static_cast<const std::byte*>(base) + parts.offsets[r] * size;
  };
  // Everyone starts with another rank.
  std::vector<Pending> operations;
  operations.reserve(2 * inParts.counts.size());
  for (int step = 0; step < worldSize(); ++step) {
    const auto to = static_cast<std::size_t>((rank() + step) % worldSize());
    const auto from = static_cast<std::size_t>((rank() - step + worldSize()) % worldSize());
    operations.push_back(
        pendingSend(at(in, inParts, to), inParts.counts[to], type, static_cast<int>(to)));
    operations.push_back(pendingReceive(const_cast<std::byte*>(at(out, outParts, from)),  // NOLINT
                                        outParts.counts[from], type, static_cast<int>(from)));
  }
  return operations;
}

// ---- the queue ----

void CommunicatorImpl::enqueue(Pending& operation) {
  const auto lock = enter();
  queue_.push(operation);
  if (progress_ != nullptr) progress_->wake();
}

void CommunicatorImpl::transfer(Pending& operation) {
  if (operation.peer == rank())
    fail(ErrorCode::invalidArgument,
         "{}: a rank that waits for itself waits forever; put it into a Group with its "
         "counterpart",
         host::toString(operation));
  checkUsable();
  Completion completion(1);
  operation.completion = &completion;
  enqueue(operation);
  finish(completion);
  if (completion.error() != nullptr) std::rethrow_exception(completion.error());
}

void CommunicatorImpl::transferAll(std::span<Pending> operations) {
  checkUsable();
  Completion completion(operations.size());
  for (Pending& operation : operations) {
    operation.completion = &completion;
    enqueue(operation);
  }
  finish(completion);
  if (completion.error() != nullptr) std::rethrow_exception(completion.error());
}

/// Without a Group, whose memory and counts of owners small messages would feel.
void CommunicatorImpl::exchange(const Send& send, const Receive& receive) {
  std::array operations{pendingSend(send.data, send.count, send.type, send.to),
                        pendingReceive(receive.data, receive.count, receive.type, receive.from)};
  if (overlap(send.data, operations[0].bytes(), receive.data, operations[1].bytes()))
    fail(ErrorCode::invalidArgument, "exchange: what is sent and what is received overlap");
  if ((send.to == rank()) != (receive.from == rank()))
    fail(ErrorCode::invalidArgument,
         "exchange: rank {} sends to rank {} and receives from rank {}: what a rank has with "
         "itself needs both ends",
         rank(), send.to, receive.from);
  transferAll(operations);
}

bool CommunicatorImpl::turn() noexcept {
  const auto lock = enter();
  return busy() && (disowned() || advanceOrFail());
}

void CommunicatorImpl::look() noexcept {
  const auto lock = enter();
  if (busy() && !disowned()) lookOrFail();
}

bool CommunicatorImpl::round() noexcept {
  if (advanceOrFail()) return true;
  lookOrFail();
  return false;
}

void CommunicatorImpl::finish(const Completion& completion) noexcept {
  const auto lock = enter();
  driveQueue([&] { return completion.done(); });
}

/// In a forked child: what the parent has asked for is the parent's business. Here it ends with an
/// error; shared memory learns nothing of that.
bool CommunicatorImpl::disowned() noexcept {
  if (!inherited()) return false;
  try {
    checkUsable();
  } catch (...) {
    endPending(std::current_exception());
  }
  return true;
}

/// Until nothing is under way.
void CommunicatorImpl::drain() noexcept {
  driveQueue([this] { return !busy(); });
}

template <class Until>
void CommunicatorImpl::driveQueue(Until until) noexcept {
  host::Wait wait(fabric_, watch_, outnumbered_);
  const int most = outnumbered_ ? 1 : kLooks;
  // In each turn: a signal handler may fork.
  for (int looks = 0; !disowned() && !until();) {
    if (advanceOrFail()) {
      wait.progress();
      looks = 0;
    } else if (looks < most) {
      ++looks;
    } else {
      try {
        wait.pause(awaited());
      } catch (...) {
        failPending();
      }
    }
  }
}

bool CommunicatorImpl::advanceOrFail() noexcept {
  try {
    return advance();
  } catch (...) {
    failPending();
    return true;
  }
}

void CommunicatorImpl::lookOrFail() noexcept {
  try {
    watch_.checkAll(awaited(), false);
  } catch (...) {
    failPending();
  }
}

/// In a catch block: ends everything with what was thrown.
void CommunicatorImpl::failPending() noexcept {
  const std::exception_ptr error = giveUp();
  transfers_->close();
  endPending(error);
}

void CommunicatorImpl::endPending(const std::exception_ptr& error) noexcept {
  if (current_ != nullptr) std::exchange(current_, nullptr)->completion->one(error);
  for (host::TransferList list : {transfers_->abandon(), std::exchange(queue_, {})})
    while (!list.empty()) static_cast<Pending&>(list.pop()).completion->one(error);
}

bool CommunicatorImpl::advance() {
  const bool admitted = current_ == nullptr && admit();
  return (current_ != nullptr ? stepCurrent() : stepTransfers()) || admitted;
}

/// Begins what may begin: transfers, or one collective when no transfer is under way.
bool CommunicatorImpl::admit() {
  bool any = false;
  if (!queue_.empty()) checkHealthy();  // it may have failed since they were asked for
  while (!queue_.empty() && current_ == nullptr) {
    auto& next = static_cast<Pending&>(*queue_.first());
    if (next.isCollective && !transfers_->idle()) break;
    queue_.pop();
    any = true;
    if (next.isCollective) {
      current_ = &next;
      begin(next.request, next.in, next.out, next.extent);
    } else {
      if (transfers_->idle()) watch_.begin(*transfers_, call_.what, options_.timeout);
      transfers_->add(next);
    }
  }
  return any;
}

bool CommunicatorImpl::stepCurrent() {
  const host::Progress progress = run_.step();
  if (progress == host::Progress::none) return false;
  if (progress != host::Progress::some && landed())
    std::exchange(current_, nullptr)->completion->one();
  return true;
}

bool CommunicatorImpl::stepTransfers() {
  if (!transfers_->step()) return false;
  watch_.moved();
  for (host::TransferList& over = transfers_->finished(); !over.empty();)
    static_cast<Pending&>(over.pop()).completion->one();
  return true;
}

/// What the operation under way waits for.
shm::Awaited CommunicatorImpl::awaited() const {
  if (current_ != nullptr) return run_.awaited();
  return transfers_->idle() ? shm::Awaited{} : transfers_->awaited();
}

}  // namespace lockstep
