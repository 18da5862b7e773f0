#include "transport/shm/call.hpp"

#include <fmt/format.h>

namespace lockstep::shm {

namespace {

constexpr std::uint64_t kMostRoots = 64;  // ranks of a host

std::uint64_t pack(const CallDescription& call) {
  return static_cast<std::uint64_t>(call.collective) | static_cast<std::uint64_t>(call.type) << 8 |
         static_cast<std::uint64_t>(call.reduction) << 16 |
         static_cast<std::uint64_t>(call.root) << 24;
}

/// The finaliser of MurmurHash3 (Appleby, public domain): a bijection that mixes all 64 bits.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

}  // namespace

std::uint64_t shapeHash(const CallDescription& call) {
  return mix(mix(pack(call)) ^ call.count);
}

std::uint64_t fingerprint(const CallDescription& call) {
  return fingerprint(shapeHash(call), call.sequence);
}

std::string toString(const CallDescription& call) {
  if (call.collective == Collective::barrier) return fmt::format("barrier #{}", call.sequence);
  const Contract& contract = contractOf(call.collective);
  return fmt::format("{} #{} (count {}, {}{}{})", name(call.collective), call.sequence, call.count,
                     name(call.type),
                     contract.reduces ? fmt::format(" {}", name(call.reduction)) : "",
                     contract.rooted ? fmt::format(", root {}", call.root) : "");
}

// A sequence lock: one writer, readers retry by giving up.
void announce(CallLine& line, const CallDescription& call) {
  const std::uint64_t version = line.version.load(std::memory_order_relaxed);
  line.version.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  line.sequence.store(call.sequence, std::memory_order_relaxed);
  line.what.store(pack(call), std::memory_order_relaxed);
  line.count.store(call.count, std::memory_order_relaxed);
  line.version.store(version + 2, std::memory_order_release);
}

std::optional<CallDescription> read(const CallLine& line) {
  const std::uint64_t before = line.version.load(std::memory_order_acquire);
  CallDescription call;
  call.sequence = line.sequence.load(std::memory_order_relaxed);
  const std::uint64_t what = line.what.load(std::memory_order_relaxed);
  call.count = line.count.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (before % 2 != 0 || line.version.load(std::memory_order_relaxed) != before)
    return std::nullopt;
  const std::uint64_t collective = what & 0xff, type = what >> 8 & 0xff,
                      reduction = what >> 16 & 0xff, root = what >> 24;
  if (collective >= kCollectives || type >= kDataTypes || reduction >= kReductions ||
      root >= kMostRoots)
    return std::nullopt;
  call.collective = static_cast<Collective>(collective);
  call.type = static_cast<DataType>(type);
  call.reduction = static_cast<Reduction>(reduction);
  call.root = static_cast<int>(root);
  return call;
}

std::string mismatchText(int rank, const CallLine& line, int me, const CallDescription& mine) {
  return mismatchText(rank, read(line), me, mine);
}

std::string mismatchText(int rank, const std::optional<CallDescription>& theirs, int me,
                         const CallDescription& mine) {
  // Who only sends is gone before its mistake shows, in the call after it.
  const bool before = theirs && *theirs == mine;
  return fmt::format(
      "rank {} called {}, rank {} called {}; all ranks must make the same calls in the same "
      "order{}",
      rank, theirs ? toString(*theirs) : "something else", me, toString(mine),
      before ? ", so an earlier call must have differed (another root?)" : "");
}

}  // namespace lockstep::shm
