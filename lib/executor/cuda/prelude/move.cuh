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
  static constexpr u32 kBytes = Type::kBytes;

  /// One value of as many bytes as `Bits` has out of each source's. A single source keeps its bits.
  template <class Bits, u32 kSrcs>
  static Bits reduce(const Bits (&v)[kSrcs], u32 divisor) {
    if (kSrcs == 1 && divisor == 1) return v[0];
    Accumulator<Type, sizeof(Bits)> sum;
    sum.set(v[0]);
    LOCKSTEP_UNROLL
    for (u32 k = 1; k < kSrcs; ++k) sum.template add<Op>(v[k]);
    return sum.get(divisor, kOneNan);
  }
};

// ---- bytes of memory at any alignment that its elements have ----

template <class Unit, class Bits>
LOCKSTEP_INLINE Bits gather(const u8* at, u32 bytes) {
  Bits bits{};
  Unit* to = reinterpret_cast<Unit*>(&bits);
  const Unit* from = reinterpret_cast<const Unit*>(at);
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < sizeof(Bits) / sizeof(Unit); ++i)
    if (i * sizeof(Unit) < bytes) to[i] = from[i];
  return bits;
}
template <class Unit, class Bits>
LOCKSTEP_INLINE void scatter(u8* at, const Bits& bits, u32 bytes) {
  const Unit* from = reinterpret_cast<const Unit*>(&bits);
  Unit* to = reinterpret_cast<Unit*>(at);
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < sizeof(Bits) / sizeof(Unit); ++i)
    if (i * sizeof(Unit) < bytes) to[i] = from[i];
}
template <u32 kBytes>
struct UnitOf;
template <>
struct UnitOf<1> {
  using Type = u8;
};
template <>
struct UnitOf<2> {
  using Type = u16;
};
template <>
struct UnitOf<4> {
  using Type = u32;
};
template <>
struct UnitOf<8> {
  using Type = u64;
};

/// Who waits for the `index`-th end of an operation: different warps, so that they wait at once.
LOCKSTEP_INLINE u32 waiter(u32 index) {
  return index * 32 % threads();
}

/// Data and flag are apart (protocol "simple").
template <class Arithmetic>
struct Mover {
  using Unit = typename UnitOf<Arithmetic::kBytes>::Type;

  template <class Lane, u32 kDsts, u32 kSrcs>
  static void run(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                  const End (&src)[kSrcs]) {
    await(lane, dst, src);
    if (!lane.stopped()) moveBlocks(lane, piece, divisor, dst, src);
    syncThreads();
    signal(lane, dst, src);
  }

  template <class Lane, u32 kDsts, u32 kSrcs>
  static void await(Lane& lane, const End (&dst)[kDsts], const End (&src)[kSrcs]) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i)
      if (dst[i].kind != End::Kind::memory && thread() == waiter(i)) lane.awaitRoom(dst[i]);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kSrcs; ++i)
      if (src[i].kind != End::Kind::memory && thread() == waiter(kDsts + i))
        lane.awaitArrival(src[i]);
    syncThreads();
  }
  template <class Lane, u32 kDsts, u32 kSrcs>
  static void signal(Lane& lane, const End (&dst)[kDsts], const End (&src)[kSrcs]) {
    if (lane.stopped()) return;  // what was not received is not passed on
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i)
      if (dst[i].kind != End::Kind::memory && thread() == waiter(i)) lane.announce(dst[i]);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kSrcs; ++i)
      if (src[i].kind != End::Kind::memory && thread() == waiter(kDsts + i)) lane.consume(src[i]);
  }

  template <class Lane, u32 kDsts, u32 kSrcs>
  static void moveBlocks(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                         const End (&src)[kSrcs]) {
    for (u32 block = 0; block < piece.blocks; ++block) {
      u8* to[kDsts];
      const u8* from[kSrcs];
      u64 low = 0;  // address bits that some operand has set
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < kDsts; ++i) {
        to[i] = dst[i].at + dst[i].offsetOf(block, piece);
        low |= reinterpret_cast<u64>(to[i]);
      }
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < kSrcs; ++i) {
        from[i] = src[i].at + src[i].offsetOf(block, piece);
        low |= reinterpret_cast<u64>(from[i]);
      }
      if (low % 16 == 0)
        moveAligned(lane, piece.bytes, divisor, dst, to, from, block, piece);
      else
        moveElements(lane, 0, piece.bytes, divisor, dst, to, from, block, piece);
    }
  }

 private:
  template <class Lane, u32 kDsts, u32 kSrcs>
  static void moveAligned(Lane& lane, u64 bytes, u32 divisor, const End (&dst)[kDsts],
                          u8* const (&to)[kDsts], const u8* const (&from)[kSrcs], u32 block,
                          Piece piece) {
    // Enough loads in flight to hide the latency of memory, few enough not to spill.
    constexpr u32 kUnroll = kSrcs == 1 ? 4 : kSrcs <= 4 ? 2 : 1;
    const u64 end = bytes / 16 * 16;
    const u64 step = u64{threads()} * 16;
    u64 at = u64{thread()} * 16;
    for (; at + (kUnroll - 1) * step < end; at += kUnroll * step) {
      Bits128 v[kUnroll][kSrcs];
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u) LOCKSTEP_UNROLL
      for (u32 k = 0; k < kSrcs; ++k) v[u][k] = load(from[k] + at + u * step);
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u)
        put(lane, dst, to, at + u * step, Arithmetic::reduce(v[u], divisor), block, piece);
    }
    for (; at < end; at += step) {
      Bits128 v[kSrcs];
      LOCKSTEP_UNROLL
      for (u32 k = 0; k < kSrcs; ++k) v[k] = load(from[k] + at);
      put(lane, dst, to, at, Arithmetic::reduce(v, divisor), block, piece);
    }
    moveElements(lane, end, bytes, divisor, dst, to, from, block, piece);
  }

  /// Element by element: the end of a buffer, or one that does not begin at 16 bytes.
  template <class Lane, u32 kDsts, u32 kSrcs>
  static void moveElements(Lane& lane, u64 begin, u64 end, u32 divisor, const End (&dst)[kDsts],
                           u8* const (&to)[kDsts], const u8* const (&from)[kSrcs], u32 block,
                           Piece piece) {
    for (u64 at = begin + u64{thread()} * 16; at < end; at += u64{threads()} * 16) {
      const u32 bytes = end - at < 16 ? static_cast<u32>(end - at) : 16;
      Bits128 v[kSrcs];
      LOCKSTEP_UNROLL
      for (u32 k = 0; k < kSrcs; ++k) v[k] = gather<Unit, Bits128>(from[k] + at, bytes);
      const Bits128 result = Arithmetic::reduce(v, divisor);
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < kDsts; ++i) {
        if (dst[i].kind != End::Kind::cast)
          scatter<Unit>(to[i] + at, result, bytes);
        else
          cast(lane, dst[i].offset + dst[i].offsetOf(block, piece) + at, result);
      }
    }
  }

  template <class Lane, u32 kDsts>
  static void put(Lane& lane, const End (&dst)[kDsts], u8* const (&to)[kDsts], u64 at,
                  const Bits128& v, u32 block, Piece piece) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i) {
      if (dst[i].kind != End::Kind::cast)
        store(to[i] + at, v);
      else
        cast(lane, dst[i].offset + dst[i].offsetOf(block, piece) + at, v);
    }
  }
  /// Into everyone's slot: a switch's doing, or a loop over peers.
  template <class Lane>
  static void cast(Lane& lane, u64 offset, const Bits128& v) {
    const World& world = lane.world();
    if (world.multicast != nullptr) {
      multicastStore(world.multicast + offset, v);
      return;
    }
    for (u32 reader = 0; reader < Lane::kWorldSize; ++reader)
      if (reader != world.rank) store(world.segments[reader] + offset, v);
  }
};

/// Data and flag in one store (protocol "ll"): every thread waits for what it takes itself.
template <class Arithmetic>
struct LineMover {
  using Unit = typename UnitOf<Arithmetic::kBytes>::Type;

  template <class Lane, u32 kDsts, u32 kSrcs>
  static void run(Lane& lane, Piece piece, u32 divisor, const End (&dst)[kDsts],
                  const End (&src)[kSrcs]) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i)
      if (dst[i].kind != End::Kind::memory && thread() == waiter(i)) lane.awaitRoom(dst[i]);
    syncThreads();
    const u32 perBlock = static_cast<u32>((piece.bytes + 7) / 8);
    for (u32 block = 0; block < piece.blocks; ++block)
      for (u32 i = thread(); i < perBlock; i += threads()) {
        const u64 at = u64{i} * 8;
        const u32 bytes = piece.bytes - at < 8 ? static_cast<u32>(piece.bytes - at) : 8;
        moveLine(lane, block * perBlock + i, block, at, bytes, piece, divisor, dst, src);
      }
    if (perBlock * piece.blocks == 0 && thread() == 0)  // an empty message still synchronises
      moveLine(lane, 0, 0, 0, 0, piece, divisor, dst, src);
    syncThreads();
    if (lane.stopped()) return;
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kSrcs; ++i)
      if (src[i].kind != End::Kind::memory && thread() == waiter(i)) lane.consume(src[i]);
  }

 private:
  template <class Lane, u32 kDsts, u32 kSrcs>
  static void moveLine(Lane& lane, u32 line, u32 block, u64 at, u32 bytes, Piece piece, u32 divisor,
                       const End (&dst)[kDsts], const End (&src)[kSrcs]) {
    u64 v[kSrcs];
    LOCKSTEP_UNROLL
    for (u32 k = 0; k < kSrcs; ++k)
      v[k] = src[k].kind == End::Kind::memory
                 ? gather<Unit, u64>(src[k].at + src[k].offsetOf(block, piece) + at, bytes)
                 : lane.takeLine(src[k], line);
    if (lane.stopped()) return;
    const u64 result = Arithmetic::reduce(v, divisor);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kDsts; ++i) {
      if (dst[i].kind == End::Kind::memory)
        scatter<Unit>(dst[i].at + dst[i].offsetOf(block, piece) + at, result, bytes);
      else
        lane.putLine(dst[i], line, result);
    }
  }
};

}  // namespace lockstep::device
