// Floors of broadcast, all-gather, all-to-all and reduce-scatter: one loop serves all four, as with
// two ranks they differ only in what is sent, added and kept.
#include <algorithm>

#include <fmt/format.h>

#include "bench/floors/attach.hpp"
#include "bench/floors/floors.hpp"
#include "bench/floors/kernels.hpp"
#include "bench/floors/lines.hpp"
#include "bench/floors/transfer.hpp"

namespace lockstep::floors {
namespace {

/// A loop of one collective on one rank.
class TransferLoop : public Loop {
 public:
  TransferLoop(Pair& pair, Collective op) : pair_(pair), op_(op) {}
  void run(const float* in, float* out, std::size_t count) final {
    move(transferOf(op_, pair_.rank(), in, out, count), in, out, count);
  }

 protected:
  virtual void move(const Transfer& mine, const float* in, float* out, std::size_t count) = 0;
  Collective op() const { return op_; }
  Pair& pair() const { return pair_; }

 private:
  Pair& pair_;
  Collective op_;
};

/// How far the peer has come, read only when what was last read does not suffice: every look may
/// fetch the line anew.
class Progress {
 public:
  explicit Progress(const Flag* flag) : flag_(flag) {}
  void await(std::uint64_t value) {
    if (seen_ >= value) return;
    floors::await(*flag_, value);
    seen_ = flag_->value.load(std::memory_order_relaxed);
  }

 private:
  const Flag* flag_;
  std::uint64_t seen_ = 0;
};

template <Write W>
void take(const Transfer& t, const float* theirs, std::size_t at, std::size_t count) {
  if (t.own != nullptr)
    sum<W>(t.received + at, t.own + at, theirs, count);
  else
    copy<W>(t.received + at, theirs, count);
}

template <Write W>
void keep(const Transfer& t, std::size_t at, std::size_t count) {
  if (at < t.keeps) copy<W>(t.keptAt + at, t.kept + at, std::min(count, t.keeps - at));
}

/// By LL lines, in sets by turns. Where both send, two need no acknowledgement (LineSets); a lone
/// sender has more, and asks whether the peer has read.
class LlTransfer final : public TransferLoop {
 public:
  LlTransfer(Pair& pair, Collective op, std::size_t maxCount)
      : TransferLoop(pair, op),
        sets_(op == Collective::broadcast ? 8 : 2),
        lines_(linesFor(maxCount * sizeof(float))),
        mine_(pair.takeShared<Line>(sets_ * lines_)),
        theirs_(pair.theirs(mine_)),
        read_(pair.takeShared<Flag>(1)),
        theirRead_(pair.theirs(read_)) {}

 private:
  static constexpr std::size_t kPerLine = Line::kData / sizeof(float);
  static constexpr std::size_t kPrefetch = 16;

  void move(const Transfer& t, const float*, float*, std::size_t) override {
    ++call_;
    if (t.sends > 0) send(t.sent, t.sends);
    keep<Write::normal>(t, 0, t.keeps);
    if (t.receives > 0) receive(t);
  }
  void send(const float* data, std::size_t count) {
    if (op() == Collective::broadcast && call_ > sets_) theirRead_.await(call_ - sets_);
    Line* line = mine_ + setOf(call_);
    for (; count >= kPerLine; ++line, data += kPerLine, count -= kPerLine)
      writeLine(*line, data, call_);
    if (count > 0) writeLine(*line, data, count * sizeof(float), call_);
    // As LineSets::prefetchNext: sending the next time needs no round trip then.
    for (std::size_t i = 0; i < std::min(kPrefetch, lines_); ++i)
      __builtin_prefetch(mine_ + setOf(call_ + 1) + i, 1, 3);
  }
  std::size_t setOf(std::uint64_t call) const { return (call & (sets_ - 1)) * lines_; }
  void receive(const Transfer& t) {
    const Line* line = theirs_ + setOf(call_);
    for (std::size_t at = 0; at < t.receives; ++line, at += kPerLine) {
      const std::size_t count = std::min(kPerLine, t.receives - at);
      awaitLine(*line, call_);
      const auto* data = reinterpret_cast<const float*>(partialData(*line, count * sizeof(float)));
      if (t.own != nullptr && count == kPerLine)
        addLine(t.received + at, t.own + at, data);
      else if (t.own != nullptr)
        for (std::size_t i = 0; i < count; ++i) t.received[at + i] = t.own[at + i] + data[i];
      else if (count == kPerLine)
        std::memcpy(t.received + at, data, Line::kData);  // of a size known here: vector moves
      else
        std::memcpy(t.received + at, data, count * sizeof(float));
    }
    if (op() == Collective::broadcast) read_->raise(call_);
  }

  std::uint64_t sets_;
  std::size_t lines_;  ///< of a set
  Line* mine_;
  const Line* theirs_;
  Flag* read_;  ///< calls whose lines this rank has read
  Progress theirRead_;
  std::uint64_t call_ = 0;
};

/// Through shared slots, tile by tile. Streaming into them: see SlotOneShot (eager.cpp).
template <Write Slot, Write Out>
class SlotTransfer final : public TransferLoop {
 public:
  SlotTransfer(Pair& pair, Collective op, std::size_t tile)
      : TransferLoop(pair, op),
        tile_(tile),
        slots_(pair.takeShared<float>(kDepth * tile)),
        theirSlots_(pair.theirs(slots_)),
        flags_(pair.takeShared<Flag>(2)),
        theirWritten_(pair.theirs(flags_)),
        theirRead_(pair.theirs(flags_ + 1)) {}

 private:
  static constexpr std::size_t kDepth = 4;

  void move(const Transfer& t, const float*, float*, std::size_t count) override {
    for (std::size_t at = 0; at < count; at += tile_) {
      const std::size_t size = std::min(tile_, count - at);
      if (t.sends > 0) send(t.sent + at, size);
      keep<Out>(t, at, size);
      if (t.receives > 0) receive(t, at, size);
    }
  }
  void send(const float* data, std::size_t count) {
    if (written_ >= kDepth) theirRead_.await(written_ + 1 - kDepth);
    copy<Slot>(slots_ + written_ % kDepth * tile_, data, count);
    flags_[0].raise(++written_);
  }
  void receive(const Transfer& t, std::size_t at, std::size_t count) {
    const float* slot = theirSlots_ + taken_ % kDepth * tile_;
    theirWritten_.await(++taken_);
    take<Out>(t, slot, at, count);
    flags_[1].raise(taken_);
  }

  std::size_t tile_;
  float* slots_;
  const float* theirSlots_;
  Flag* flags_;  ///< [0] tiles written, [1] tiles read
  Progress theirWritten_, theirRead_;
  std::uint64_t written_ = 0, taken_ = 0;
};

/// Both ranks' buffers in shared memory: what comes is read where it lies, or (`pushed`) what goes
/// is written where it belongs. Who moves waits for the other at the entry, the other at the exit.
template <bool Pushed, Write W>
class InPlace final : public TransferLoop {
 public:
  InPlace(Pair& pair, Collective op)
      : TransferLoop(pair, op),
        flags_(pair.takeShared<Flag>(2)),
        theirReady_(pair.theirs(flags_)),
        theirDone_(pair.theirs(flags_ + 1)) {}

 private:
  void move(const Transfer& mine, const float* in, float* out, std::size_t count) override {
    const Transfer theirs =
        transferOf(op(), pair().peer(), pair().theirs(in), pair().theirs(out), count);
    const bool moves = (Pushed ? mine.sends : mine.receives) > 0;
    const bool isMoved = (Pushed ? mine.receives : mine.sends) > 0;
    ++call_;
    if (isMoved) flags_[0].raise(call_);
    keep<W>(mine, 0, mine.keeps);
    if (moves) {
      theirReady_.await(call_);
      if constexpr (Pushed)
        take<W>(theirs, mine.sent, 0, count);
      else
        take<W>(mine, theirs.sent, 0, count);
      flags_[1].raise(call_);
    }
    if (isMoved) theirDone_.await(call_);
  }

  Flag* flags_;  ///< [0] ready to be read or written, [1] done with that
  Progress theirReady_, theirDone_;
  std::uint64_t call_ = 0;
};

/// A broadcast that both cores carry: the root writes the second half of the peer's output, the
/// peer reads the first.
template <Write W>
class SplitBroadcast final : public TransferLoop {
 public:
  SplitBroadcast(Pair& pair, Collective op)
      : TransferLoop(pair, op),
        flags_(pair.takeShared<Flag>(2)),
        theirReady_(pair.theirs(flags_)),
        theirDone_(pair.theirs(flags_ + 1)) {}

 private:
  void move(const Transfer& mine, const float* in, float* out, std::size_t count) override {
    const std::size_t middle = roundUp(count / 2, kCacheLine / sizeof(float));
    const std::size_t first = std::min(middle, count), second = count - first;
    flags_[0].raise(++call_);
    theirReady_.await(call_);
    if (pair().rank() == 0) {
      keep<W>(mine, 0, mine.keeps);
      copy<W>(pair().theirs(out) + first, in + first, second);
    } else {
      copy<W>(out, pair().theirs(in), first);
    }
    flags_[1].raise(call_);
    theirDone_.await(call_);
  }

  Flag* flags_;
  Progress theirReady_, theirDone_;
  std::uint64_t call_ = 0;
};

/// By process_vm_readv, in blocks that are still in the L2 cache when they are added to.
class AttachTransfer final : public TransferLoop {
 public:
  AttachTransfer(Pair& pair, Collective op, std::size_t block)
      : TransferLoop(pair, op),
        attach_(pair.peerPid()),
        block_(block),
        sent_(pair.takeShared<const float*>(1)),
        theirSent_(pair.theirs(sent_)),
        flags_(pair.takeShared<Flag>(2)),
        theirReady_(pair.theirs(flags_)),
        theirDone_(pair.theirs(flags_ + 1)) {}

 private:
  void move(const Transfer& t, const float*, float*, std::size_t) override {
    ++call_;
    if (t.sends > 0) {
      *sent_ = t.sent;
      flags_[0].raise(call_);
    }
    keep<Write::normal>(t, 0, t.keeps);
    if (t.receives > 0) {
      theirReady_.await(call_);
      for (std::size_t at = 0; at < t.receives; at += block_)
        fetch(t, at, std::min(block_, t.receives - at));
      flags_[1].raise(call_);
    }
    if (t.sends > 0) theirDone_.await(call_);
  }
  void fetch(const Transfer& t, std::size_t at, std::size_t count) {
    attach_.read(t.received + at, *theirSent_ + at, count);
    if (t.own != nullptr) sum(t.received + at, t.own + at, t.received + at, count);
  }

  Attach attach_;
  std::size_t block_;
  const float** sent_;
  const float* const* theirSent_;
  Flag* flags_;  ///< [0] what is sent may be read, [1] it has been
  Progress theirReady_, theirDone_;
  std::uint64_t call_ = 0;
};

constexpr std::size_t KiB = 1024, kAny = ~std::size_t{0};

template <class L, class... Arguments>
Floor floorOf(std::string name, Group group, std::size_t minBytes, Collective op,
              Arguments... arguments) {
  return {std::move(name), group, minBytes, kAny,
          [=](Pair& pair, std::size_t) { return std::make_unique<L>(pair, op, arguments...); }};
}

template <Write Slot, Write Out>
Floor slots(const char* kind, Group group, std::size_t minBytes, Collective op, std::size_t tile) {
  return floorOf<SlotTransfer<Slot, Out>>(fmt::format("slots {}K{}", tile / KiB, kind), group,
                                          minBytes, op, tile / sizeof(float));
}

std::vector<Floor> copyingFloors(Group group, Collective op) {
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  std::vector<Floor> floors{{"LL", group, 1, 32 * KiB, [op](Pair& pair, std::size_t maxCount) {
                               return std::make_unique<LlTransfer>(pair, op, maxCount);
                             }}};
  for (const std::size_t tile : {1 * KiB, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB}) {
    const std::size_t min = tile / 4;
    floors.push_back(slots<normal, normal>("", group, min, op, tile));
    floors.push_back(slots<streaming, normal>(", streaming in", group, min, op, tile));
    if (tile >= 16 * KiB)
      floors.push_back(slots<streaming, streaming>(", streaming", group, 1024 * KiB, op, tile));
  }
  return floors;
}

void addInPlaceFloors(std::vector<Floor>& floors, Collective op) {
  constexpr Write normal = Write::normal, streaming = Write::streaming;
  constexpr Group group = Group::registered;
  const std::size_t small = 512, large = 512 * KiB;
  floors.push_back(floorOf<InPlace<false, normal>>("read in place", group, small, op));
  floors.push_back(floorOf<InPlace<true, normal>>("written in place", group, small, op));
  floors.push_back(
      floorOf<InPlace<false, streaming>>("read in place, streaming", group, large, op));
  floors.push_back(
      floorOf<InPlace<true, streaming>>("written in place, streaming", group, large, op));
  if (op != Collective::broadcast) return;
  floors.push_back(floorOf<SplitBroadcast<normal>>("split in place", group, 16 * KiB, op));
  floors.push_back(
      floorOf<SplitBroadcast<streaming>>("split in place, streaming", group, large, op));
}

}  // namespace

std::vector<Floor> transferFloors(Group group, Collective op) {
  std::vector<Floor> floors = copyingFloors(group, op);
  if (group == Group::registered) addInPlaceFloors(floors, op);
  if (group == Group::ordinary)
    for (const std::size_t block : {64 * KiB, 256 * KiB, 1024 * KiB, 16384 * KiB})
      floors.push_back(floorOf<AttachTransfer>(fmt::format("attach {}K", block / KiB), group,
                                               std::max(block / 8, 4 * KiB), op,
                                               block / sizeof(float)));
  return floors;
}

}  // namespace lockstep::floors
