// Transfers whose payload stays where it is until the receiver has fetched it. A large one is
// copied from both ends: the sender has nothing else to do, and two cores copy faster than one.
#include <algorithm>
#include <atomic>
#include <chrono>

#include <poll.h>

#include "base/clock.hpp"
#include "base/fail.hpp"
#include "executor/host/copy.hpp"
#include "executor/host/transfer.hpp"

namespace lockstep::host {

namespace {

/// What can be read in place is, from here on: two flags cost less than two copies.
constexpr std::size_t kLendFrom = 2048;
/// Smaller ones are copied by the receiver alone.
constexpr std::size_t kShareFrom = std::size_t{32} << 10;
/// Blocks: enough of them to meet in the middle, none too small to be worth a claim; or a system
/// call, where the payload is read by process_vm_readv.
constexpr std::size_t kParts = 8;
constexpr std::size_t kLeastBlock = std::size_t{8} << 10, kLeastAttached = std::size_t{128} << 10;
constexpr std::size_t kMostBlock = std::size_t{1} << 20;

/// Of a copy of `bytes`; both ends compute it alike. A multiple of a page.
std::size_t blockBytes(std::size_t bytes, bool attached) {
  if (bytes < kShareFrom) return bytes;
  const std::size_t most = std::max(kMostBlock, roundUp(bytes / shm::kMostBlocks, kPage));
  return std::clamp(roundUp(bytes / kParts, kPage), attached ? kLeastAttached : kLeastBlock, most);
}

std::uint32_t blocksOf(std::size_t bytes, std::size_t block) {
  return block == 0 ? 0 : static_cast<std::uint32_t>((bytes + block - 1) / block);
}

}  // namespace

cma::Process Transfers::process(int peer) const {
  const auto r = static_cast<std::size_t>(peer);
  return {env_.pids[r], peer, env_.pidfds[r]};
}

/// A peer's memory in my address space; nullptr: only by cross-memory attach.
std::byte* Transfers::reach(int peer, shm::Location where, std::size_t bytes) const {
  if (where.region == shm::Location::kAddress)
    return env_.sameProcess ? reinterpret_cast<std::byte*>(where.offset) : nullptr;  // NOLINT
  std::byte* here = env_.regions.resolve(peer, where, bytes);
  if (here == nullptr)
    fail(ErrorCode::internal, "rank {} lent a buffer outside every region it shares", peer);
  return here;
}

// ---- the sender ----

bool Transfers::canLend(const Transfer& t, shm::Location where) const {
  if (sealed()) return false;
  return t.bytes() >= (isAttached(where) ? attachFrom_ : kLendFrom);
}

/// The receiver can only read it by a system call.
bool Transfers::isAttached(shm::Location where) const {
  return where.region == shm::Location::kAddress && !env_.sameProcess;
}

void Transfers::lend(Lane& lane, shm::Location where) const {
  const std::size_t bytes = lane.queue.first()->bytes();
  lane.blockBytes = blockBytes(bytes, isAttached(where));
  lane.writer.begin(lane.headStep, blocksOf(bytes, lane.blockBytes));
}

/// What was lent may be written again when the message that said so has been consumed.
bool Transfers::awaitReturn(Lane& lane) {
  const shm::OutChannel& out = env_.fabric.out(lane.peer, shm::Protocol::ll);
  if (out.isConsumed(lane.headStep)) {
    finish(lane);
    return true;
  }
  lane.awaited = out.consumption(lane.headStep);
  return false;
}

/// Copies a block of what the receiver fetches, if one is left. True if it did.
bool Transfers::help(Lane& lane) {
  // With fewer cores than ranks, the receiver needs this one.
  if (lane.queue.first()->bytes() < kShareFrom || env_.doorbell.armed()) return false;
  const shm::ReaderClaims& theirs = env_.fabric.claimsOfReader(lane.peer);
  const bool attach = attachFrom_ != kNever;
  shm::Word& mine = env_.fabric.writerClaims(lane.peer).claims;
  if (!lane.writer.isOpen(theirs.claims)) return false;
  const Transfer& t = *lane.queue.first();
  const shm::Location where{theirs.region.load(std::memory_order_relaxed),
                            theirs.offset.load(std::memory_order_relaxed)};
  std::byte* to = reach(lane.peer, where, t.bytes());
  if (to == nullptr && !attach) return false;
  if (lane.writer.claim(mine, theirs.claims) != shm::Turn::copy) return false;
  const std::size_t at = lane.writer.next() * lane.blockBytes;
  const std::size_t bytes = std::min(lane.blockBytes, t.bytes() - at);
  const auto* from = static_cast<const std::byte*>(t.data) + at;
  if (to != nullptr)
    copyBytes(to + at, from, bytes, t.bytes() >= env_.streamingBytes);
  else
    cma::write(process(lane.peer), where.offset + at, from, bytes);
  counters_.moved += bytes;
  lane.writer.copied(mine);
  return true;
}

// ---- the receiver ----

void Transfers::openFetch(Lane& lane, shm::Location where) {
  const Transfer& t = *lane.queue.first();
  checkLender(lane);
  lane.where = where;
  lane.blockBytes = blockBytes(t.bytes(), isAttached(where));
  shm::ReaderClaims& mine = env_.fabric.readerClaims(lane.peer);
  const shm::Location here = env_.regions.locate(t.data, t.bytes());
  mine.region.store(here.region, std::memory_order_relaxed);
  mine.offset.store(here.offset, std::memory_order_relaxed);
  lane.reader.begin(mine.claims, lane.headStep, blocksOf(t.bytes(), lane.blockBytes));
  lane.stage = Stage::fetch;
}

/// A sender that has given up has its buffer back and may have written to it. Its failure comes
/// before those writes: if none is seen after the copy, the copy has none of them.
void Transfers::checkLender(const Lane& lane) const {
  std::atomic_thread_fence(std::memory_order_acquire);
  const shm::Word& presence = env_.fabric.of(lane.peer).status.presence;
  if (presence.load(std::memory_order_acquire) != static_cast<std::uint64_t>(shm::Presence::failed))
    return;
  const Transfer& t = *lane.queue.first();
  throw Error(
      ErrorCode::aborted, lane.peer, toString(t),
      fmt::format("{}: rank {} gave up before its data was fetched", toString(t), lane.peer));
}

/// The sender may be copying a block: waits for that, but not for one who is dead or stopped.
void Transfers::closeFetch(Lane& lane) {
  constexpr std::chrono::seconds kPatience{1};
  lane.reader.close(env_.fabric.readerClaims(lane.peer).claims);
  const shm::Word& theirs = env_.fabric.claimsOfWriter(lane.peer).claims;
  pollfd process{
      .fd = env_.pidfds[static_cast<std::size_t>(lane.peer)], .events = POLLIN, .revents = 0};
  for (const Deadline deadline = Deadline::in(kPatience);
       !lane.reader.isQuiet(theirs) && !deadline.passed();)
    if (::poll(&process, 1, 1) > 0) return;  // its end
}

/// Copies one block; after the last, waits for what the sender may still be copying.
bool Transfers::fetch(Lane& lane) {
  const Transfer& t = *lane.queue.first();
  const shm::Word& theirs = env_.fabric.claimsOfWriter(lane.peer).claims;
  switch (lane.reader.claim(env_.fabric.readerClaims(lane.peer).claims, theirs)) {
    case shm::Turn::copy:
      break;
    case shm::Turn::over:
      if (lane.reader.complete(theirs)) {
        checkLender(lane);
        finishHead(lane);
        finish(lane);
        return true;
      }
      [[fallthrough]];
    case shm::Turn::wait:
      lane.awaited = {&theirs, lane.peer};
      return false;
  }
  const std::size_t at = lane.reader.next() * lane.blockBytes;
  const std::size_t bytes = std::min(lane.blockBytes, t.bytes() - at);
  std::byte* to = static_cast<std::byte*>(t.data) + at;
  if (const std::byte* from = reach(lane.peer, lane.where, t.bytes()); from != nullptr)
    copyBytes(to, from + at, bytes, t.bytes() >= env_.streamingBytes);
  else
    cma::read(process(lane.peer), lane.where.offset + at, to, bytes);
  counters_.moved += bytes;
  lane.reader.copied();
  return true;
}

}  // namespace lockstep::host
