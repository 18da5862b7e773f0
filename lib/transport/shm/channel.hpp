// The two ends of a channel over shared memory, for one protocol each. They know slots, flags and
// credits; what the bytes mean (plaintext, ciphertext) is the executor's business.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "base/cpu.hpp"
#include "transport/shm/protocol.hpp"
#include "transport/shm/segment.hpp"
#include "transport/shm/shared_bytes.hpp"

namespace lockstep::shm {

/// Which lowering of a channel edge. brief: as ll, with more slots for shorter messages.
enum class Protocol : std::uint8_t { simple, ll, brief };
inline constexpr std::size_t kProtocols = 3;

constexpr bool isLines(Protocol protocol) {
  return protocol != Protocol::simple;
}
/// A power of two.
constexpr std::size_t slotsOf(Protocol protocol) {
  return protocol == Protocol::brief ? kBriefSlots : kSlots;
}

/// A word that somebody waits for, and the rank that will write it. For error texts and sleeping.
struct Awaited {
  const Word* word = nullptr;
  int rank = -1;
};

/// Two pieces of `kBytes` that meet or overlap: from kBytes to twice as many bytes.
template <std::size_t kBytes>
inline void copyEnds(std::byte* to, const std::byte* from, std::size_t n) {
  std::memcpy(to, from, kBytes);
  std::memcpy(to + n - kBytes, from + n - kBytes, kBytes);
}
/// Copies `n` of at most `kFull` bytes, without a call: a line is copied in less than one takes.
template <std::size_t kFull>
inline void copyPart(std::byte* to, const std::byte* from, std::size_t n) {
  static_assert(kFull <= 64);
  if (n == kFull)
    std::memcpy(to, from, kFull);
  else if (n >= 32)
    copyEnds<32>(to, from, n);
  else if (n >= 16)
    copyEnds<16>(to, from, n);
  else if (n >= 8)
    copyEnds<8>(to, from, n);
  else if (n >= 4)
    copyEnds<4>(to, from, n);
  else if (n >= 2)
    copyEnds<2>(to, from, n);
  else if (n == 1)
    *to = *from;
}

/// Where the lines of a channel's messages lie, of either protocol that has lines.
template <class Area>
class Lines {
  using LinePointer = decltype(std::declval<Area>().lines[0].data());

 public:
  Lines(Area* area, Protocol protocol) {
    const bool brief = protocol == Protocol::brief;
    first_ = brief ? area->briefLines[0].data() : area->lines[0].data();
    perSlot_ = brief ? kBriefLines : kLines;
    mask_ = slotsOf(protocol) - 1;
  }
  LinePointer of(Step step) const { return first_ + (step & mask_) * perSlot_; }

 private:
  LinePointer first_;
  std::size_t perSlot_, mask_;
};

/// The writing end. Steps are numbered by the caller.
class OutChannel {
 public:
  OutChannel(OutArea* area, Protocol protocol)
      : area_(area), lines_(area, protocol), protocol_(protocol), slots_(slotsOf(protocol)) {}

  /// `credits`: where that reader writes its credits for this channel and protocol.
  void addReader(int rank, const Word* credits) { readers_.push_back({rank, credits, {}}); }

  /// The next steps of the channel, for whoever uses it now. Returns the first.
  Step take(std::uint64_t steps) { return std::exchange(next_, next_ + steps); }

  /// May `step` be written? Reads shared credits only when the remembered ones do not suffice.
  bool hasCredit(Step step) {
    if (step < known_ + slots_) return true;
    const std::size_t slot = step & (slots_ - 1);
    const std::uint64_t needed = creditNeeded(step, slots_);
    for (Reader& reader : readers_) {
      if (reader.seen[slot] >= needed) continue;
      for (std::size_t s = 0; s < slots_; ++s) reader.seen[s] = readCredit(reader.credits[s]);
      if (reader.seen[slot] < needed) {
        lacking_ = {&reader.credits[slot], reader.rank};
        return false;
      }
    }
    return true;
  }
  /// The caller knows, from messages that came the other way, that every reader has consumed all
  /// steps before `step`. Saves reading the credits.
  void allConsumedBefore(Step step) { known_ = step; }
  /// Has the reader consumed `step`? Of a channel to one reader.
  bool isConsumed(Step step) const { return readCredit(*consumption(step).word) > step; }
  /// The word that tells so.
  Awaited consumption(Step step) const {
    return {&readers_[0].credits[step & (slots_ - 1)], readers_[0].rank};
  }
  /// What the last refused hasCredit lacks.
  Awaited lacking() const { return lacking_; }

  /// Payload memory of `step` (simple), kSlotStride bytes.
  SharedBytes payload(Step step) const { return SharedBytes(area_->payload[step % kSlots].data()); }
  /// Makes the payload of `step` visible (simple).
  void publishPayload(Step step, std::uint64_t fingerprint) {
    SlotHeader& header = area_->headers[step % kSlots];
    header.fingerprint.store(fingerprint, std::memory_order_relaxed);
    publish(header.flag, step);
  }
  /// Copies a message into lines and makes it visible (ll, brief). `bytes` is at most kLlBytes or
  /// kBriefBytes.
  void writeLines(Step step, std::uint64_t fingerprint, const std::byte* data, std::size_t bytes) {
    Line* line = lines_.of(step);
    std::memcpy(line->data.data() + kFirstLineBytes, &fingerprint, sizeof fingerprint);
    const std::size_t first = std::min(bytes, kFirstLineBytes);
    copyPart<kFirstLineBytes>(line->data.data(), data, first);
    publish(line->flag, step);
    for (std::size_t done = first; done < bytes; done += kLineBytes) {
      ++line;
      copyPart<kLineBytes>(line->data.data(), data + done, std::min(bytes - done, kLineBytes));
      publish(line->flag, step);
    }
  }
  /// Asks for the lines that a message of `bytes` will take, in order to write them soon. For a
  /// step whose slot the readers have left, while there is nothing else to do.
  void prefetchLines(Step step, std::size_t bytes) const {
    const Line* line = lines_.of(step);
    for (std::size_t i = 0, n = linesOf(bytes); i < n; ++i) prefetchForWrite(line + i);
  }

  Protocol protocol() const { return protocol_; }
  /// Tells every reader that may sleep that a message of `bytes` is there.
  template <class Doorbell>
  void ring(Doorbell& doorbell, Step step, std::size_t bytes) const {
    for (const Reader& reader : readers_) doorbell.ring(lastFlag(step, bytes), reader.rank);
  }

 private:
  /// The flag that a reader of a message of `bytes` waits for.
  const Word& lastFlag(Step step, std::size_t bytes) const {
    if (protocol_ == Protocol::simple) return area_->headers[step % kSlots].flag;
    return lines_.of(step)[linesOf(bytes) - 1].flag;
  }
  struct Reader {
    int rank;
    const Word* credits;
    std::array<std::uint64_t, kBriefSlots> seen;
  };
  OutArea* area_;
  Lines<OutArea> lines_;
  Protocol protocol_;
  std::size_t slots_;
  Step next_ = 0;
  Step known_ = 0;  ///< all steps before it have been consumed
  Awaited lacking_;
  std::vector<Reader> readers_;
};

/// The reading end.
class InChannel {
 public:
  InChannel(const OutArea* area, Word* credits, Protocol protocol, int writer)
      : area_(area),
        lines_(area, protocol),
        credits_(credits),
        protocol_(protocol),
        slots_(slotsOf(protocol)),
        writer_(writer) {}

  /// As OutChannel::take; both ends take alike.
  Step take(std::uint64_t steps) { return std::exchange(next_, next_ + steps); }
  int writer() const { return writer_; }
  Protocol protocol() const { return protocol_; }

  /// Is the whole message of `step` there? `bytes`: its length, which the reader knows from its own
  /// plan.
  bool ready(Step step, std::size_t bytes) const {
    if (protocol_ == Protocol::simple) return arrived(area_->headers[step % kSlots].flag, step);
    // The last line first: looking at lines that are still being written would take them away from
    // the writer. Once it is there the others are too, but for what the memory model allows; their
    // misses overlap.
    // In the order of writing: looking at lines that are still to come takes them from the writer.
    // Of many lines the last is looked at first, so that a look costs little and the rest, which
    // are there by then, are fetched together.
    const Line* lines = lines_.of(step);
    const std::size_t n = linesOf(bytes);
    if (n > kManyLines && !arrived(lines[n - 1].flag, step)) return false;
    for (std::size_t i = 0; i < n; ++i)
      if (!arrived(lines[i].flag, step)) return false;
    return true;
  }
  /// The word whose arrival means that the message is there: the last to be written.
  Awaited awaited(Step step, std::size_t bytes) const { return {&lastFlag(step, bytes), writer_}; }

  ConstSharedBytes payload(Step step) const {
    return ConstSharedBytes(area_->payload[step % kSlots].data());
  }
  /// Where a message that fits the first line lies in place (ll, bytes <= kFirstLineBytes).
  ConstSharedBytes firstLine(Step step) const {
    return ConstSharedBytes(lines_.of(step)->data.data());
  }
  /// Copies a message out of its lines (ll, brief).
  void readLines(Step step, std::byte* data, std::size_t bytes) const {
    const Line* line = lines_.of(step);
    const std::size_t first = std::min(bytes, kFirstLineBytes);
    copyPart<kFirstLineBytes>(data, line->data.data(), first);
    for (std::size_t done = first; done < bytes; done += kLineBytes) {
      ++line;
      copyPart<kLineBytes>(data + done, line->data.data(), std::min(bytes - done, kLineBytes));
    }
  }
  std::uint64_t fingerprint(Step step) const {
    if (protocol_ == Protocol::simple)
      return area_->headers[step % kSlots].fingerprint.load(std::memory_order_relaxed);
    std::array<std::byte, sizeof(std::uint64_t)> value;
    firstLine(step).copyOut(kFirstLineBytes, value.data(), value.size());
    return std::bit_cast<std::uint64_t>(value);
  }
  void consumed(Step step) { consume(credits_[step & (slots_ - 1)], step); }
  const Word& credit(Step step) const { return credits_[step & (slots_ - 1)]; }

 private:
  static constexpr std::size_t kManyLines = 32;  // measured: bench/floors, 512 B to 4 KiB
  const Word& lastFlag(Step step, std::size_t bytes) const {
    if (protocol_ == Protocol::simple) return area_->headers[step % kSlots].flag;
    return lines_.of(step)[linesOf(bytes) - 1].flag;
  }

  const OutArea* area_;
  Lines<const OutArea> lines_;
  Word* credits_;
  Protocol protocol_;
  std::size_t slots_;
  int writer_;
  Step next_ = 0;
};

}  // namespace lockstep::shm
