// The switch: whatever reads one address and gets the sum of what all ranks have there, or writes
// one address and reaches all. Two of them do the same: an NVSwitch, by `multimem` instructions on
// the multicast address of all segments; and a loop over peers, which reduces in the order of
// ranks. Which one it is decides for each operation, alike for all threads of a block; ranks need
// not decide alike, since both put the same kind of result in the same places.
//
// An NVSwitch adds in an order of its own choice, so its sums are not reproducible, and rounds them
// to the type before a division (avg).
#pragma once

#include "executor/cuda/prelude/move.cuh"

namespace lockstep::device {

/// What an NVSwitch reduces: 16 bytes at once.
template <class Type, class Op>
struct SwitchReduction {
  static constexpr bool kHas = false;
  static LOCKSTEP_INLINE Bits128 load(const u8*) { return {}; }
};
template <>
struct SwitchReduction<F32, Sum> {
  static constexpr bool kHas = kHasMultimem;
  static LOCKSTEP_INLINE Bits128 load(const u8* at) { return multicastSumF32(at); }
};
template <>
struct SwitchReduction<F16, Sum> {
  static constexpr bool kHas = kHasMultimem;
  static LOCKSTEP_INLINE Bits128 load(const u8* at) { return multicastSumF16(at); }
};
template <>
struct SwitchReduction<BF16, Sum> {
  static constexpr bool kHas = kHasMultimem;
  static LOCKSTEP_INLINE Bits128 load(const u8* at) { return multicastSumBF16(at); }
};

/// Moves among exposed buffers, where every rank's are at the same place of its segment.
/// `kGathers`: the sources are all ranks' `in`; otherwise the one source is own. `kSpreads`: the
/// destinations are all ranks' `out`; otherwise the one destination is own.
template <class Arithmetic, bool kGathers, bool kSpreads>
struct SwitchMover {
  using Emulated = Mover<Arithmetic, false>;
  using Reduction = SwitchReduction<typename Arithmetic::Element, typename Arithmetic::Operation>;

  /// `in`, `out`: the own ones among the ends.
  template <class Lane, u32 kDsts, u32 kSrcs>
  static LOCKSTEP_INLINE void run(Lane& lane, Piece piece, u32 divisor, const End& out,
                                  const End& in, const End (&dst)[kDsts], const End (&src)[kSrcs]) {
    if (!usesSwitch(lane, piece, in, out)) {
      Emulated::run(lane, piece, divisor, dst, src);
      return;
    }
    const World& world = lane.world();
    const u8* const mine = world.segments[world.rank];
    fenceAlias();
    for (u32 block = 0; block < piece.blocks; ++block) {
      u8* const to = out.at + out.offsetOf(block, piece);
      const u8* const from = in.at + in.offsetOf(block, piece);
      const u64 step = u64{threads()} * 16;
      LOCKSTEP_NO_UNROLL
      for (u64 i = u64{thread()} * 16; i < piece.bytes; i += kUnroll * step) {
        Bits128 v[kUnroll][1];
        LOCKSTEP_UNROLL
        for (u32 u = 0; u < kUnroll; ++u)
          if (i + u * step < piece.bytes)
            v[u][0] = kGathers ? Reduction::load(world.multicast + (from - mine) + i + u * step)
                               : load(from + i + u * step);
        LOCKSTEP_UNROLL
        for (u32 u = 0; u < kUnroll; ++u) {
          if (i + u * step >= piece.bytes) break;
          const Bits128 result = Arithmetic::template fold<Lane::kWorldSize>(v[u], divisor != 1);
          if (kSpreads)
            multicastStore(world.multicast + (to - mine) + i + u * step, result);
          else
            store(to + i + u * step, result);
        }
      }
    }
    fenceAlias();
    syncThreads();
  }

 private:
  /// Loads on their way at once: an NVSwitch wants about 1 MiB of a GPU's (2 us at 450 GB/s).
  static constexpr u32 kUnroll = 8;

  /// The switch takes whole 16 bytes at 16 bytes, of the same place in every segment.
  template <class Lane>
  static LOCKSTEP_INLINE bool usesSwitch(const Lane& lane, Piece piece, const End& in,
                                         const End& out) {
    if (!kHasMultimem || (kGathers && !Reduction::kHas)) return false;
    if (lane.world().multicast == nullptr || lane.stopped()) return false;
    const u64 low = reinterpret_cast<u64>(in.at) | reinterpret_cast<u64>(out.at) | piece.bytes |
                    (piece.blocks > 1 ? in.stride | out.stride : 0);
    return low % 16 == 0 && lane.sameOffsets();
  }
};

}  // namespace lockstep::device
