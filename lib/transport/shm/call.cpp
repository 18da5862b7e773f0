#include "transport/shm/call.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace lockstep::shm {

namespace {

constexpr std::uint64_t kMostRoots = 64;  // ranks of a host
constexpr int kReadTries = 16;            // of a line whose writer goes on calling

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

namespace {

std::optional<CallDescription> unpack(std::uint64_t sequence, std::uint64_t what,
                                      std::uint64_t count) {
  const std::uint64_t collective = what & 0xff, type = what >> 8 & 0xff,
                      reduction = what >> 16 & 0xff, root = what >> 24;
  if (collective >= kCollectives || type >= kDataTypes || reduction >= kReductions ||
      root >= kMostRoots)
    return std::nullopt;
  return CallDescription{.sequence = sequence,
                         .collective = static_cast<Collective>(collective),
                         .type = static_cast<DataType>(type),
                         .reduction = static_cast<Reduction>(reduction),
                         .count = count,
                         .root = static_cast<int>(root)};
}

}  // namespace

// A sequence lock: one writer; readers try again, and then give up.
void announce(CallLine& line, const CallDescription& call) {
  const std::uint64_t version = line.version.load(std::memory_order_relaxed);
  line.version.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  line.sequence.store(call.sequence, std::memory_order_relaxed);
  CallLine::Call& kept = line.calls[call.sequence % kCallsKept];
  kept.what.store(pack(call), std::memory_order_relaxed);
  kept.count.store(call.count, std::memory_order_relaxed);
  line.version.store(version + 2, std::memory_order_release);
}

std::optional<CallDescription> read(const CallLine& line) {
  return read(line, line.sequence.load(std::memory_order_relaxed));
}

std::optional<CallDescription> read(const CallLine& line, std::uint64_t sequence) {
  const CallLine::Call& kept = line.calls[sequence % kCallsKept];
  for (int tries = 0; tries < kReadTries; ++tries) {
    const std::uint64_t before = line.version.load(std::memory_order_acquire);
    const std::uint64_t latest = line.sequence.load(std::memory_order_relaxed);
    const std::uint64_t what = kept.what.load(std::memory_order_relaxed);
    const std::uint64_t count = kept.count.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 != 0 || line.version.load(std::memory_order_relaxed) != before) continue;
    if (sequence > latest || latest - sequence >= kCallsKept) return std::nullopt;
    return unpack(sequence, what, count);
  }
  return std::nullopt;
}

namespace {

constexpr std::array<std::string_view, 4> kTalks{"alloc", "split", "duplicate", "retune"};
constexpr std::uint64_t kOneTalk = 8;  // in units of which a line counts those that have ended

}  // namespace

Talking::Talking(CallLine& mine, Talk talk)
    : line_(mine), before_(mine.talk.load(std::memory_order_relaxed) / kOneTalk) {
  line_.talk.store(before_ * kOneTalk + 1 + static_cast<std::uint64_t>(talk),
                   std::memory_order_release);
}

Talking::~Talking() {
  line_.talk.store((before_ + 1) * kOneTalk, std::memory_order_release);
}

std::optional<std::string_view> talkAhead(const CallLine& theirs, const CallLine& mine) {
  const std::uint64_t talk = theirs.talk.load(std::memory_order_acquire);
  const std::uint64_t kind = talk % kOneTalk, ended = mine.talk.load(std::memory_order_relaxed);
  if (kind == 0 || kind > kTalks.size() || talk / kOneTalk < ended / kOneTalk) return std::nullopt;
  return kTalks[kind - 1];
}

std::optional<Difference> firstDifference(const CallLine& theirs, const CallLine& mine) {
  const std::uint64_t a = theirs.sequence.load(std::memory_order_relaxed),
                      b = mine.sequence.load(std::memory_order_relaxed);
  const std::uint64_t last = std::min(a, b), latest = std::max(a, b);
  for (std::uint64_t s = latest < kCallsKept ? 1 : latest - kCallsKept + 1; s <= last; ++s) {
    const auto their = read(theirs, s), my = read(mine, s);
    if (their && my && *their != *my) return Difference{*their, *my};
  }
  return std::nullopt;
}

std::string mismatchText(int rank, const CallLine& theirs, int me, const CallLine& myLine,
                         const CallDescription& mine) {
  if (const auto different = firstDifference(theirs, myLine))
    return mismatchText(rank, different->theirs, me, different->mine);
  return mismatchText(rank, read(theirs), me, mine);
}

std::string mismatchText(int rank, const std::optional<CallDescription>& theirs, int me,
                         const CallDescription& mine) {
  // Who only sends may be far ahead when its mistake shows.
  const bool before = theirs && *theirs == mine;
  return fmt::format(
      "rank {} called {}, rank {} called {}; all ranks must make the same calls in the same "
      "order{}",
      rank, theirs ? toString(*theirs) : "something else", me, toString(mine),
      before ? ", so an earlier call must have differed (another root?)" : "");
}

}  // namespace lockstep::shm
