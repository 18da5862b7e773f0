// What often follows an all-reduce in inference, done by the same kernel while the tile is in the
// cache: the residual is added, and each row normalised by its root mean square.
//
//   x = sum + residual            in f32, of the rounded sum
//   residual = x                  rounded
//   out = residual * weight / sqrt(mean(x^2) + epsilon)
//
// A row is `hidden` elements; tiles are whole rows (executor/cuda/call.hpp). The rows' means are
// summed in an order that depends on the threads of a block alone.
#pragma once

#include "executor/cuda/prelude/elements.cuh"
#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::device {

/// `Type` is a float of at most 32 bits.
template <class Type>
struct RmsNorm {
  /// Threads that add up what all have.
  static constexpr u32 kGroups = 16;
  struct Shared {
    float sums[kMaxBlockThreads];
    float groups[kGroups];
  };

  /// To be called by the block when all of the tile is in `out`.
  template <class Lane>
  static LOCKSTEP_INLINE void run(Lane& lane, Shared& shared) {
    syncThreads();  // other threads have written what this one reads
    if (lane.stopped()) return;
    const Call& call = lane.call();
    const u64 hidden = call.norm.hidden;
    LOCKSTEP_NO_UNROLL
    for (u64 at = 0; at < lane.tile().elements; at += hidden) {
      u8* const out = call.out + (lane.tile().first + at) * Type::kBytes;
      u8* const residual = call.norm.residual + (lane.tile().first + at) * Type::kBytes;
      const Row row{hidden, isWhole(out, residual, call.norm.weight, hidden)};
      const float squares = addResidual(row, out, residual);
      const float mean = sumOfBlock(squares, shared) / static_cast<float>(hidden);
      scale(row, out, residual, call.norm.weight, 1.0f / squareRoot(mean + call.norm.epsilon));
    }
  }

 private:
  using Bits = typename Type::Bits;
  static constexpr u32 kEach = 16 / Type::kBytes;  ///< elements that a thread takes at once

  /// How a row is gone through: 16 bytes at a time, or its elements one by one where it does not
  /// begin or end there.
  struct Row {
    u64 hidden;
    bool whole;

    LOCKSTEP_INLINE Bits128 get(const u8* row, u64 i) const {
      const u8* at = row + i * Type::kBytes;
      return whole ? load(at) : loadPartial<Type>(at, left(i));
    }
    LOCKSTEP_INLINE void put(u8* row, u64 i, const Bits128& v) const {
      u8* at = row + i * Type::kBytes;
      if (whole)
        store(at, v);
      else
        storePartial<Type>(at, v, left(i));
    }
    template <class F>
    LOCKSTEP_INLINE void forMine(F f) const {
      for (u64 i = u64{thread()} * kEach; i < hidden; i += u64{threads()} * kEach) f(i);
    }

   private:
    LOCKSTEP_INLINE u32 left(u64 i) const {
      return hidden - i < kEach ? static_cast<u32>(hidden - i) : kEach;
    }
  };
  static LOCKSTEP_INLINE bool isWhole(const u8* out, const u8* residual, const u8* weight,
                                      u64 hidden) {
    return (reinterpret_cast<u64>(out) | reinterpret_cast<u64>(residual) |
            reinterpret_cast<u64>(weight) | hidden * Type::kBytes) %
               16 ==
           0;
  }
  static LOCKSTEP_INLINE float valueAt(const Bits128& v, u32 e) {
    return Type::widen(elementAt<Bits>(v, e));
  }

  /// This thread's part of the sum of squares. (What lies beyond a row's end is zero.)
  static LOCKSTEP_INLINE float addResidual(const Row& row, const u8* sum, u8* residual) {
    float squares = 0;
    row.forMine([&](u64 i) {
      const Bits128 a = row.get(sum, i), b = row.get(residual, i);
      Bits128 both{};
      LOCKSTEP_UNROLL
      for (u32 e = 0; e < kEach; ++e) {
        const float x = valueAt(a, e) + valueAt(b, e);
        putElement(both, e, Type::narrow(x));
        squares += x * x;
      }
      row.put(residual, i, both);
    });
    return squares;
  }
  /// In two steps, since a barrier costs more than a dozen additions.
  static LOCKSTEP_INLINE float sumOfBlock(float mine, Shared& shared) {
    shared.sums[thread()] = mine;
    syncThreads();
    if (thread() < kGroups) {
      float sum = 0;
      for (u32 i = thread(); i < threads(); i += kGroups) sum += shared.sums[i];
      shared.groups[thread()] = sum;
    }
    syncThreads();
    float sum = 0;
    for (u32 i = 0; i < kGroups && i < threads(); ++i) sum += shared.groups[i];
    return sum;
  }
  static LOCKSTEP_INLINE void scale(const Row& row, u8* out, const u8* residual, const u8* weight,
                                    float factor) {
    row.forMine([&](u64 i) {
      const Bits128 x = row.get(residual, i), by = row.get(weight, i);
      Bits128 scaled{};
      LOCKSTEP_UNROLL
      for (u32 e = 0; e < kEach; ++e)
        putElement(scaled, e, Type::narrow(valueAt(x, e) * valueAt(by, e) * factor));
      row.put(out, i, scaled);
    });
  }
};

}  // namespace lockstep::device
