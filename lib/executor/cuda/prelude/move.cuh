// The operation on data, in the clear: takes what the sources hold, reduces it in the order given,
// puts the result into every destination. Waits before, signals after.
#pragma once

#include "executor/cuda/prelude/elements.cuh"
#include "executor/cuda/prelude/lane.cuh"

namespace lockstep::device {

/// How elements become one.
template <class Type, class Op, bool kOneNan>
struct Arithmetic {
  using Element = Type;
  using Operation = Op;
  static constexpr u32 kBytes = Type::kBytes;

  /// `divides`: an average of `kWorld`. (A divisor that is known when compiled is mostly a factor.)
  template <u32 kWorld, class Bits, u32 kSrcs>
  static LOCKSTEP_INLINE Bits fold(const Bits (&v)[kSrcs], bool divides) {
    return divides ? reduce<Type, Op>(v, kWorld, kOneNan) : reduce<Type, Op>(v, 1, kOneNan);
  }
  /// The first `bytes` from `at`, at any alignment that elements have.
  template <u32 kMost>
  static LOCKSTEP_INLINE Packed<kMost> gather(const u8* at, u32 bytes) {
    const u64 low = reinterpret_cast<u64>(at);
    if (bytes == kMost && low % 8 == 0) return loadPartial<U64, kMost>(at, kMost / 8);
    if (kBytes < 4 && bytes == kMost && low % 4 == 0) return loadPartial<U32, kMost>(at, kMost / 4);
    return loadPartial<Type, kMost>(at, bytes / kBytes);
  }
  template <u32 kMost>
  static LOCKSTEP_INLINE void scatter(u8* at, const Packed<kMost>& v, u32 bytes) {
    const u64 low = reinterpret_cast<u64>(at);
    if (bytes == kMost && low % 8 == 0)
      storePartial<U64, kMost>(at, v, kMost / 8);
    else if (kBytes < 4 && bytes == kMost && low % 4 == 0)
      storePartial<U32, kMost>(at, v, kMost / 4);
    else
      storePartial<Type, kMost>(at, v, bytes / kBytes);
  }
};

/// One thread of every warp waits and signals, so that all ends of an operation do at once.
LOCKSTEP_INLINE u32 waiters() {
  return threads() < 32 ? 1 : threads() / 32;
}
LOCKSTEP_INLINE bool isWaiter() {
  return thread() % 32 == 0;
}
LOCKSTEP_INLINE bool waitsFor(u32 end) {
  return thread() == end % waiters() * 32;
}
/// Calls `f` with each end that the calling thread waits for.
template <class F>
LOCKSTEP_INLINE void forMyEnds(u32 first, u32 last, F f) {
  if (!isWaiter()) return;
  for (u32 i = first; i < last; ++i)
    if (waitsFor(i)) f(i);
}

/// Where the ends of an operation are kept: destinations, then sources.
template <class Lane, u32 kDsts, u32 kSrcs>
LOCKSTEP_INLINE End* keep(Lane& lane, const End (&dst)[kDsts], const End (&src)[kSrcs]) {
  End* ends = lane.nextEnds();
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kDsts; ++i)
    if (waitsFor(i)) ends[i] = dst[i];
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kSrcs; ++i)
    if (waitsFor(kDsts + i)) ends[kDsts + i] = src[i];
  return ends;
}

/// Whether any of them is a message, which is known when compiled.
template <u32 kDsts, u32 kSrcs>
LOCKSTEP_INLINE bool hasMessage(const End (&dst)[kDsts], const End (&src)[kSrcs]) {
  bool has = false;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kDsts; ++i) has |= dst[i].kind != End::Kind::memory;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kSrcs; ++i) has |= src[i].kind != End::Kind::memory;
  return has;
}

/// Until all destinations have room and all sources have come, by the block. `kCasts`: some may be
/// to everyone, or have come so.
template <bool kCasts, class Lane>
LOCKSTEP_INLINE void awaitAll(Lane& lane, const End* ends, u32 dsts, u32 srcs) {
  forMyEnds(0, dsts + srcs, [&](u32 i) {
    if (ends[i].kind == End::Kind::memory) return;
    if (i < dsts)
      lane.template awaitRoom<kCasts>(ends[i]);
    else
      lane.awaitArrival(ends[i]);
  });
  syncThreads();
  if (kCasts && lane.world().multicast != nullptr) fenceAlias();  // it came by the other address
}
/// After syncThreads(): what has been put is there, what has been taken may be written again.
template <bool kCasts, class Lane>
LOCKSTEP_INLINE void signalAll(Lane& lane, const End* ends, u32 dsts, u32 srcs) {
  if (lane.stopped()) return;  // what was not received is not passed on
  forMyEnds(0, dsts + srcs, [&](u32 i) {
    if (ends[i].kind == End::Kind::memory) return;
    if (i < dsts)
      lane.template announce<kCasts>(ends[i]);
    else
      lane.consume(ends[i]);
  });
}

/// Data and flag are apart (protocol "simple").
template <class Arithmetic, bool kCasts>
struct Mover {
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void run(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                                  const End (&src)[kSrcs]) {
    const End* ends = keep(lane, dst, src);
    if (!hasMessage(dst, src)) {
      syncThreads();
      if (!lane.stopped()) moveBlocks<Lane, kDsts, kSrcs>(lane, piece, divisor, ends);
      syncThreads();
      return;
    }
    awaitAll<kCasts>(lane, ends, kDsts, kSrcs);
    if (!lane.stopped()) moveBlocks<Lane, kDsts, kSrcs>(lane, piece, divisor, ends);
    syncThreads();
    signalAll<kCasts>(lane, ends, kDsts, kSrcs);
  }

  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void moveBlocks(Lane& lane, Piece piece, u32 divisor, const End* ends,
                                         u64 skipped = 0) {
    Places<kDsts, kSrcs> at;
    at.skipped = skipped;
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i)
      at.casts |= kCasts && ends[i].kind == End::Kind::cast ? u64{1} << i : 0;
    LOCKSTEP_NO_UNROLL
    for (u32 block = 0; block < piece.blocks; ++block) {
      u64 low = 0;  // address bits that some operand has set
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < kDsts; ++i) {
        const bool cast = kCasts && (at.casts >> i & 1) != 0;
        at.to[i] = (cast ? nullptr : ends[i].at) + ends[i].offsetOf(block, piece);
        if (cast) at.to[i] += ends[i].offset;
        low |= reinterpret_cast<u64>(at.to[i]);
      }
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < kSrcs; ++i) {
        at.from[i] = ends[kDsts + i].at + ends[kDsts + i].offsetOf(block, piece);
        low |= reinterpret_cast<u64>(at.from[i]);
      }
      const u64 whole = low % 16 == 0 ? piece.bytes / 16 * 16 : 0;
      moveVectors(lane, whole, divisor, at);
      moveElements(lane, whole, piece.bytes, divisor, at);
    }
  }

 private:
  /// Addresses; of a destination that is cast, the offset in everyone's segment.
  template <u32 kDsts, u32 kSrcs>
  struct Places {
    u8* to[kDsts];
    const u8* from[kSrcs];
    u64 casts = 0;    ///< bit i: to[i] is
    u64 skipped = 0;  ///< bit i: nothing goes to to[i]
  };

  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void moveVectors(Lane& lane, u64 end, u32 divisor,
                                          const Places<kDsts, kSrcs>& at) {
    // Loads in flight hide the latency of memory: 128 bytes of a thread are 64 KiB of a block, and
    // a GPU wants 30 to 40 of each multiprocessor. More sources at once would spill. What lies
    // beyond the end is the last 16 bytes once more, loaded for nothing, so that no load is
    // conditional.
    constexpr u32 kUnroll = kSrcs == 1 ? 8 : kSrcs == 2 ? 4 : kSrcs <= 4 ? 2 : 1;
    const u64 step = u64{threads()} * 16;
    LOCKSTEP_NO_UNROLL
    for (u64 i = u64{thread()} * 16; i < end; i += kUnroll * step) {
      Bits128 v[kUnroll][kSrcs];
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u) {
        const u64 from = i + u * step < end ? i + u * step : end - 16;
        LOCKSTEP_UNROLL
        for (u32 k = 0; k < kSrcs; ++k) v[u][k] = load(at.from[k] + from);
      }
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u) {
        if (i + u * step >= end) break;
        const Bits128 result = Arithmetic::template fold<Lane::kWorldSize>(v[u], divisor != 1);
        LOCKSTEP_UNROLL
        for (u32 d = 0; d < kDsts; ++d) put(lane, at, d, i + u * step, result);
      }
    }
  }

  /// Element by element: the end of a buffer, or one that does not begin at 16 bytes.
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void moveElements(Lane& lane, u64 begin, u64 end, u32 divisor,
                                           const Places<kDsts, kSrcs>& at) {
    LOCKSTEP_NO_UNROLL
    for (u64 i = begin + u64{thread()} * 16; i < end; i += u64{threads()} * 16) {
      const u32 bytes = end - i < 16 ? static_cast<u32>(end - i) : 16;
      Bits128 v[kSrcs];
      LOCKSTEP_UNROLL
      for (u32 k = 0; k < kSrcs; ++k) v[k] = Arithmetic::template gather<16>(at.from[k] + i, bytes);
      const Bits128 result = Arithmetic::template fold<Lane::kWorldSize>(v, divisor != 1);
      LOCKSTEP_UNROLL
      for (u32 d = 0; d < kDsts; ++d) {
        if ((at.skipped >> d & 1) != 0) continue;
        if (kCasts && (at.casts >> d & 1) != 0)
          put(lane, at, d, i, result);
        else
          Arithmetic::template scatter<16>(at.to[d] + i, result, bytes);
      }
    }
  }

  template <class Lane, class Places>
  static LOCKSTEP_INLINE void put(Lane& lane, const Places& places, u32 d, u64 at,
                                  const Bits128& v) {
    if ((places.skipped >> d & 1) != 0) return;
    if (kCasts && (places.casts >> d & 1) != 0)
      cast(lane, reinterpret_cast<u64>(places.to[d] + at), v);
    else
      store(places.to[d] + at, v);
  }
  /// Into everyone's slot: a switch's doing, or a loop over peers.
  template <class Lane>
  static LOCKSTEP_INLINE void cast(Lane& lane, u64 offset, const Bits128& v) {
    const World& world = lane.world();
    if (world.multicast != nullptr) {
      multicastStore(world.multicast + offset, v);
      return;
    }
    LOCKSTEP_NO_UNROLL
    for (u32 reader = 0; reader < Lane::kWorldSize; ++reader)
      if (reader != world.rank) store(world.segments[reader] + offset, v);
  }
};

/// Data and flag in one store (protocol "ll"): every thread waits for what it takes itself.
template <class Arithmetic, bool kCasts>
struct LineMover {
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void run(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                                  const End (&src)[kSrcs]) {
    const End* ends = keep(lane, dst, src);
    forMyEnds(0, kDsts, [&](u32 i) {
      if (ends[i].kind != End::Kind::memory) lane.template awaitRoom<kCasts>(ends[i]);
    });
    syncThreads();
    const auto perBlock = static_cast<u32>((piece.bytes + 7) / 8);
    LOCKSTEP_NO_UNROLL
    for (u32 block = 0; block < piece.blocks; ++block) {
      LOCKSTEP_NO_UNROLL
      for (u32 i = thread(); i < perBlock; i += threads())
        moveLine<Lane, kDsts, kSrcs>(lane, block * perBlock + i, block, u64{i} * 8, piece, divisor,
                                     ends);
    }
    if (perBlock * piece.blocks == 0 && thread() == 0)  // an empty message still synchronises
      moveLine<Lane, kDsts, kSrcs>(lane, 0, 0, 0, piece, divisor, ends);
    syncThreads();
    if (lane.stopped()) return;
    forMyEnds(kDsts, kDsts + kSrcs, [&](u32 i) {
      if (ends[i].kind != End::Kind::memory) lane.consume(ends[i]);
    });
  }

 private:
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void moveLine(Lane& lane, u32 line, u32 block, u64 at, Piece piece,
                                       u32 divisor, const End* ends) {
    const u32 bytes = piece.bytes - at < 8 ? static_cast<u32>(piece.bytes - at) : 8;
    Line lines[kSrcs];  // all of them are on their way before the first is waited for
    LOCKSTEP_UNROLL
    for (u32 k = 0; k < kSrcs; ++k)
      if (ends[kDsts + k].kind != End::Kind::memory)
        lines[k] = lane.peekLine(ends[kDsts + k], line);
    u64 v[kSrcs];
    LOCKSTEP_UNROLL
    for (u32 k = 0; k < kSrcs; ++k) {
      const End& src = ends[kDsts + k];
      v[k] = src.kind == End::Kind::memory
                 ? Arithmetic::template gather<8>(src.at + src.offsetOf(block, piece) + at, bytes)
                 : lane.takeLine(src, line, lines[k]);
    }
    if (lane.stopped()) return;
    const u64 result = Arithmetic::template fold<Lane::kWorldSize>(v, divisor != 1);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i) {
      const End& dst = ends[i];
      if (dst.kind == End::Kind::memory)
        Arithmetic::template scatter<8>(dst.at + dst.offsetOf(block, piece) + at, result, bytes);
      else
        lane.putLine(dst, line, result);
    }
  }
};

}  // namespace lockstep::device
