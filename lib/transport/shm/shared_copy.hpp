// One copy, done by two ranks: the reader takes blocks from the front, the writer, who only waits
// otherwise, from the back, until they meet. Each claims a block before it copies it.
//
// Both store a claim and then load the other's, sequentially consistent, so at least one sees the
// other (Dekker). The writer gives way when it sees the reader's claim of the same block. The
// reader, when it sees the writer's, waits for what the writer makes of it. So each block is copied
// once, whichever way it goes; tests/transport/shared_copy_test.cpp tries all of them.
#pragma once

#include <atomic>
#include <cstdint>

#include "transport/shm/protocol.hpp"

namespace lockstep::shm {

/// The word in which a rank says which blocks are its own, with the number of the copy: what is
/// left of an older one means nothing.
struct Claims {
  enum class State : std::uint8_t {
    copying,   ///< all that it claims is its own, and it may be copying it now
    claiming,  ///< the writer: of the last one it does not know yet
    resting,   ///< the writer: has copied all that is its own, and may claim more
    finished,  ///< the writer: has copied all that is its own, and will claim no more
  };
  State state = State::copying;
  std::uint32_t block = 0;  ///< reader: claims all before it; writer: from it on
};

/// 48 bits of the copy's number, which messages use up in a year and not in minutes; 2 of state, 14
/// of block.
constexpr unsigned kCopyShift = 16, kStateShift = 14;
constexpr std::uint32_t kMostBlocks = (1U << kStateShift) - 1;
constexpr std::uint64_t pack(std::uint64_t copy, Claims c) {
  return (copy + 1) << kCopyShift | static_cast<std::uint64_t>(c.state) << kStateShift | c.block;
}
constexpr bool isOf(std::uint64_t word, std::uint64_t copy) {
  return word >> kCopyShift == (copy + 1) << kCopyShift >> kCopyShift;
}
constexpr Claims unpack(std::uint64_t word) {
  return {.state = static_cast<Claims::State>(word >> kStateShift & 3),
          .block = static_cast<std::uint32_t>(word & kMostBlocks)};
}

/// What a rank does next.
enum class Turn : std::uint8_t {
  copy,  ///< the block that was asked for is its own
  wait,  ///< ask again when the writer's word has changed (reader), or the copy is over (writer)
  over,  ///< no block is left for it
};

/// The reader's end. One copy at a time.
template <class Word>
class ReaderEnd {
 public:
  /// Opens the copy to the writer; where it goes has been written before.
  void begin(Word& mine, std::uint64_t copy, std::uint32_t blocks) {
    copy_ = copy;
    blocks_ = blocks;
    next_ = 0;
    claimed_ = false;
    mine.store(pack(copy_, {.block = 0}), std::memory_order_release);
  }
  std::uint32_t next() const { return next_; }
  Turn claim(Word& mine, const Word& theirs) {
    if (next_ == blocks_) return Turn::over;
    if (!claimed_) mine.store(pack(copy_, {.block = next_ + 1}), std::memory_order_seq_cst);
    claimed_ = true;
    const Claims writer = writers(theirs);
    if (writer.block > next_) return Turn::copy;
    return writer.block == next_ && writer.state == Claims::State::claiming ? Turn::wait
                                                                            : Turn::over;
  }
  void copied() {
    ++next_;
    claimed_ = false;
  }
  /// After Turn::over: has the writer copied all that is its own? If it never came, it never will.
  bool complete(const Word& theirs) const {
    const Claims writer = writers(theirs);
    return writer.block >= blocks_ || writer.state == Claims::State::finished;
  }
  /// Gives the copy up: the writer claims no more.
  void close(Word& mine) { mine.store(pack(copy_, {.block = blocks_}), std::memory_order_seq_cst); }
  /// After close: the writer copies nothing, and never will.
  bool isQuiet(const Word& theirs) const {
    const Claims writer = writers(theirs);
    return writer.block >= blocks_ || writer.state == Claims::State::resting ||
           writer.state == Claims::State::finished;
  }
  friend bool operator==(const ReaderEnd&, const ReaderEnd&) = default;

 private:
  Claims writers(const Word& theirs) const {
    const std::uint64_t word = theirs.load(std::memory_order_seq_cst);
    return isOf(word, copy_) ? unpack(word) : Claims{.block = blocks_};
  }
  std::uint64_t copy_ = 0;
  std::uint32_t blocks_ = 0, next_ = 0;
  bool claimed_ = false;
};

/// The writer's end.
template <class Word>
class WriterEnd {
 public:
  void begin(std::uint64_t copy, std::uint32_t blocks) {
    copy_ = copy;
    next_ = blocks;
    over_ = false;
  }
  /// The reader has begun, and said where the copy goes.
  bool isOpen(const Word& theirs) const {
    return isOf(theirs.load(std::memory_order_acquire), copy_);
  }
  /// The block that is copied after Turn::copy.
  std::uint32_t next() const { return next_ - 1; }
  Turn claim(Word& mine, const Word& theirs) {
    if (over_) return Turn::over;
    const std::uint64_t before = theirs.load(std::memory_order_acquire);
    if (!isOf(before, copy_)) return Turn::wait;  // not open yet
    if (next_ == 0 || unpack(before).block >= next_) return finish(mine);
    mine.store(pack(copy_, {Claims::State::claiming, next_ - 1}), std::memory_order_seq_cst);
    if (unpack(theirs.load(std::memory_order_seq_cst)).block >= next_) return finish(mine);
    mine.store(pack(copy_, {Claims::State::copying, next_ - 1}), std::memory_order_release);
    return Turn::copy;
  }
  void copied(Word& mine) {
    --next_;
    mine.store(pack(copy_, {Claims::State::resting, next_}), std::memory_order_release);
  }
  friend bool operator==(const WriterEnd&, const WriterEnd&) = default;

 private:
  Turn finish(Word& mine) {
    over_ = true;
    mine.store(pack(copy_, {Claims::State::finished, next_}), std::memory_order_release);
    return Turn::over;
  }
  std::uint64_t copy_ = 0;
  std::uint32_t next_ = 0;
  bool over_ = false;
};

}  // namespace lockstep::shm
