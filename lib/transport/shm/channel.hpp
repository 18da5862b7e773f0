// The two ends of a channel over shared memory, for one protocol each. They know slots, flags and
// credits; what the bytes mean (plaintext, ciphertext) is the executor's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "transport/shm/protocol.hpp"
#include "transport/shm/segment.hpp"

namespace lockstep::shm {

/// Which lowering of a channel edge.
enum class Protocol : std::uint8_t { simple, ll };

/// A word that somebody waits for, and the rank that will write it. For error texts and sleeping.
struct Awaited {
  const Word* word = nullptr;
  int rank = -1;
};

/// The writing end. Steps are numbered by the caller.
class OutChannel {
 public:
  OutChannel(OutArea* area, Protocol protocol) : area_(area), protocol_(protocol) {}

  /// `credits`: where that reader writes its credits for this channel and protocol.
  void addReader(int rank, const CreditLine* credits) { readers_.push_back({rank, credits, {}}); }

  /// The first step of the next call; calls take steps in whole blocks.
  Step nextStep() const { return next_; }
  void take(std::uint64_t steps) { next_ += steps; }

  /// May `step` be written? Reads shared credits only when the remembered ones do not suffice.
  bool hasCredit(Step step) {
    if (step < known_ + kSlots) return true;
    const std::size_t slot = step % kSlots;
    const std::uint64_t needed = creditNeeded(step, kSlots);
    for (Reader& reader : readers_) {
      if (reader.seen[slot] >= needed) continue;
      for (std::size_t s = 0; s < kSlots; ++s) reader.seen[s] = readCredit(reader.line->credit[s]);
      if (reader.seen[slot] < needed) {
        lacking_ = {&reader.line->credit[slot], reader.rank};
        return false;
      }
    }
    return true;
  }
  /// The caller knows, from messages that came the other way, that every reader has consumed all
  /// steps before `step`. Saves reading the credits.
  void allConsumedBefore(Step step) { known_ = step; }
  /// What the last refused hasCredit lacks.
  Awaited lacking() const { return lacking_; }

  /// Payload memory of `step` (simple), kSlotStride bytes.
  std::byte* payload(Step step) const { return area_->payload[step % kSlots].data(); }
  /// Makes the payload of `step` visible (simple).
  void publishPayload(Step step, std::uint64_t fingerprint) {
    SlotHeader& header = area_->headers[step % kSlots];
    header.fingerprint.store(fingerprint, std::memory_order_relaxed);
    publish(header.flag, step);
  }
  /// Copies a message into lines and makes it visible (ll). bytes <= kLlBytes.
  void writeLines(Step step, std::uint64_t fingerprint, const std::byte* data, std::size_t bytes) {
    Line* line = area_->lines[step % kSlots].data();
    std::memcpy(line->data.data() + kFirstLineBytes, &fingerprint, sizeof fingerprint);
    const std::size_t first = bytes < kFirstLineBytes ? bytes : kFirstLineBytes;
    if (first != 0) std::memcpy(line->data.data(), data, first);
    publish(line->flag, step);
    for (std::size_t done = first; done < bytes;) {
      ++line;
      const std::size_t n = bytes - done < kLineBytes ? bytes - done : kLineBytes;
      std::memcpy(line->data.data(), data + done, n);
      publish(line->flag, step);
      done += n;
    }
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
    return area_->lines[step % kSlots][linesOf(bytes) - 1].flag;
  }
  struct Reader {
    int rank;
    const CreditLine* line;
    std::array<std::uint64_t, kSlots> seen;
  };
  OutArea* area_;
  Protocol protocol_;
  Step next_ = 0;
  Step known_ = 0;  ///< all steps before it have been consumed
  Awaited lacking_;
  std::vector<Reader> readers_;
};

/// The reading end.
class InChannel {
 public:
  InChannel(const OutArea* area, CreditLine* credits, Protocol protocol, int writer)
      : area_(area), credits_(credits), protocol_(protocol), writer_(writer) {}

  Step nextStep() const { return next_; }
  void take(std::uint64_t steps) { next_ += steps; }
  int writer() const { return writer_; }
  Protocol protocol() const { return protocol_; }

  /// Is the whole message of `step` there? `bytes`: its length, which the reader knows from its own
  /// plan.
  bool ready(Step step, std::size_t bytes) const {
    if (protocol_ == Protocol::simple) return arrived(area_->headers[step % kSlots].flag, step);
    const Line* lines = area_->lines[step % kSlots].data();
    // All lines are looked at, arrived or not: their misses then overlap, and one look may find
    // them all.
    bool all = true;
    for (std::size_t i = 0, n = linesOf(bytes); i < n; ++i) all &= arrived(lines[i].flag, step);
    return all;
  }
  /// The word whose arrival means that the message is there: the last to be written.
  Awaited awaited(Step step, std::size_t bytes) const { return {&lastFlag(step, bytes), writer_}; }

  const std::byte* payload(Step step) const { return area_->payload[step % kSlots].data(); }
  /// Where a message that fits the first line lies in place (ll, bytes <= kFirstLineBytes).
  const std::byte* firstLine(Step step) const { return area_->lines[step % kSlots][0].data.data(); }
  /// Copies a message out of its lines (ll).
  void readLines(Step step, std::byte* data, std::size_t bytes) const {
    const Line* line = area_->lines[step % kSlots].data();
    const std::size_t first = bytes < kFirstLineBytes ? bytes : kFirstLineBytes;
    if (first != 0) std::memcpy(data, line->data.data(), first);
    for (std::size_t done = first; done < bytes;) {
      ++line;
      const std::size_t n = bytes - done < kLineBytes ? bytes - done : kLineBytes;
      std::memcpy(data + done, line->data.data(), n);
      done += n;
    }
  }
  std::uint64_t fingerprint(Step step) const {
    if (protocol_ == Protocol::simple)
      return area_->headers[step % kSlots].fingerprint.load(std::memory_order_relaxed);
    std::uint64_t value = 0;
    std::memcpy(&value, firstLine(step) + kFirstLineBytes, sizeof value);
    return value;
  }
  void consumed(Step step) { consume(credits_->credit[step % kSlots], step); }
  const Word& credit(Step step) const { return credits_->credit[step % kSlots]; }

 private:
  const Word& lastFlag(Step step, std::size_t bytes) const {
    if (protocol_ == Protocol::simple) return area_->headers[step % kSlots].flag;
    return area_->lines[step % kSlots][linesOf(bytes) - 1].flag;
  }

  const OutArea* area_;
  CreditLine* credits_;
  Protocol protocol_;
  int writer_;
  Step next_ = 0;
};

}  // namespace lockstep::shm
