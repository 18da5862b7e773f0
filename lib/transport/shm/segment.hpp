// What lies where in the shared memory of one rank. A rank writes only its own segment and maps
// those of its peers read-only: every word has one writer. In sealed communicators all of it is the
// adversary's.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mapping.hpp"

namespace lockstep::shm {

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

inline constexpr std::size_t kSlots = 8;  ///< per channel; a credit line holds one word for each
/// Of short messages ("brief"), whose sender may hear nothing back, like the root of a broadcast:
/// where ranks outnumber cores, it should fill its time slice before it has to wait for readers.
inline constexpr std::size_t kBriefSlots = 32;

// ---- payload slots (protocol "simple": payload, then flag) ----
inline constexpr std::size_t kSlotBytes = std::size_t{64} << 10;  ///< largest message, without tags
inline constexpr std::size_t kSlotTagBytes = 1024;                ///< room for 64 tags
inline constexpr std::size_t kSlotStride = kSlotBytes + kSlotTagBytes;

struct alignas(kCacheLine) SlotHeader {
  Word flag;
  Word fingerprint;  ///< of the call; meaningful in the clear only
};
static_assert(sizeof(SlotHeader) == kCacheLine);

// ---- lines (protocol "ll": a flag in each cache line, beside the data) ----
inline constexpr std::size_t kLineBytes = 56;  ///< payload of a line
inline constexpr std::size_t kFirstLineBytes =
    48;  ///< of a message's first line: the fingerprint has the rest
inline constexpr std::size_t kLines = 148;
inline constexpr std::size_t kLlBytes =
    kFirstLineBytes + (kLines - 1) * kLineBytes;  ///< largest message

struct alignas(kCacheLine) Line {
  std::array<std::byte, kLineBytes> data;
  Word flag;
};
static_assert(sizeof(Line) == kCacheLine && offsetof(Line, flag) == kLineBytes);

/// Lines that a message of `bytes` takes.
constexpr std::size_t linesOf(std::size_t bytes) {
  return bytes <= kFirstLineBytes ? 1 : 1 + (bytes - kFirstLineBytes + kLineBytes - 1) / kLineBytes;
}
static_assert(linesOf(kLlBytes) == kLines);
inline constexpr std::size_t kBriefLines = 74;
inline constexpr std::size_t kBriefBytes =
    kFirstLineBytes + (kBriefLines - 1) * kLineBytes;  ///< largest short message: 4 KiB and some

/// A word for each slot.
template <std::size_t kCount>
struct alignas(kCacheLine) Credits {
  std::array<Word, kCount> credit;
};
using CreditLine = Credits<kSlots>;
static_assert(sizeof(CreditLine) == kCacheLine);

// ---- a copy that both ends share (shared_copy.hpp): claims of blocks, by reader and writer ----
struct alignas(kCacheLine) ReaderClaims {
  Word claims;
  Word region, offset;  ///< where the copy goes
};
struct alignas(kCacheLine) WriterClaims {
  Word claims;
};

/// The writer's side of one channel. Simple and LL slots are apart: payload could look like a flag.
struct OutArea {
  WriterClaims copy;
  std::array<SlotHeader, kSlots> headers;
  std::array<std::array<Line, kLines>, kSlots> lines;
  std::array<std::array<Line, kBriefLines>, kBriefSlots> briefLines;
  alignas(kPage) std::array<std::array<std::byte, kSlotStride>, kSlots> payload;
};

/// The reader's side of one channel.
struct InArea {
  CreditLine simple;
  CreditLine ll;
  Credits<kBriefSlots> brief;
  ReaderClaims copy;
};

// ---- one per rank ----

enum class Presence : std::uint64_t { joining = 0, here = 1, left = 2, failed = 3 };

/// Written when the rank fails, aborts or leaves; polled by those who wait.
struct alignas(kCacheLine) StatusLine {
  Word presence;
  Word errorCode;  ///< an ErrorCode: what its witness threw
  Word culprit;    ///< rank + 1, or 0: who is to blame
  Word witness;    ///< rank + 1, or 0 for this rank: who saw it first
  Word sequence;   ///< of the witness' call that failed
};

/// Calls of a rank that others can look up. Who only sends can be ahead of a reader by all slots of
/// a channel, and in the call after that: what it called then still has to be there.
inline constexpr std::size_t kCallsKept = 64;
static_assert(kCallsKept > kBriefSlots + 1);

/// What this rank calls and has called, for messages about ranks that are late or call something
/// else.
struct alignas(kCacheLine) CallLine {
  struct Call {
    Word what;  ///< packed, see call.hpp
    Word count;
  };
  Word version;                        ///< odd while being written
  Word sequence;                       ///< calls so far
  Word transfers;                      ///< 1 while this rank sends or receives outside of calls
  Word talk;                           ///< what it tells all others outside of calls, see call.hpp
  std::array<Call, kCallsKept> calls;  ///< call number s at s % kCallsKept
};

/// Exposure: where my buffers of this call are. Valid for the epoch in `entered`, until I have
/// closed it.
struct alignas(kCacheLine) ExposureLine {
  Word entered;      ///< epoch
  Word fingerprint;  ///< of the call
  Word inRegion,
      in;  ///< region (see regions.hpp) and offset, or kAddress and the address in my process
  Word outRegion, out;
};

struct alignas(kCacheLine) ReleaseLine {
  Word released;  ///< epoch whose foreign memory I shall not touch again
};

/// 1 while this rank sleeps in a futex; only used when ranks outnumber cores.
struct alignas(kCacheLine) SleepLine {
  Word asleep;
};

struct ControlArea {
  StatusLine status;
  CallLine call;
  ExposureLine exposure;
  ReleaseLine release;
  SleepLine sleep;
};

/// Offsets in the segment of a rank in a world of `worldSize`: control, then an InArea per channel
/// read (pair with w: index w; everyone-channel of w: index P + w), then an OutArea per channel
/// written (pair with r: index r; to everyone: index P). Untouched pages cost nothing.
class Layout {
 public:
  explicit Layout(int worldSize) : worldSize_(static_cast<std::size_t>(worldSize)) {}
  std::size_t inArea(std::size_t index) const {
    return roundUp(sizeof(ControlArea), kPage) + index * sizeof(InArea);
  }
  std::size_t outArea(std::size_t index) const {
    return roundUp(inArea(2 * worldSize_), kPage) + index * roundUp(sizeof(OutArea), kPage);
  }
  std::size_t bytes() const { return outArea(worldSize_ + 1); }

 private:
  std::size_t worldSize_;
};

}  // namespace lockstep::shm
