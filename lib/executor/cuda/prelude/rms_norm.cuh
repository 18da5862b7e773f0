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
  struct Shared {
    float sums[kMaxBlockThreads];
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
      const float squares = addResidual(out, residual, hidden);
      const float mean = sumOfBlock(squares, shared) / static_cast<float>(hidden);
      scale(out, residual, call.norm.weight, hidden, 1.0f / squareRoot(mean + call.norm.epsilon));
    }
  }

 private:
  using Bits = typename Type::Bits;
  static LOCKSTEP_INLINE float get(const u8* row, u64 i) {
    return Type::widen(loadElement<Bits>(row + i * Type::kBytes));
  }
  static LOCKSTEP_INLINE void put(u8* row, u64 i, float value) {
    storeElement<Bits>(row + i * Type::kBytes, Type::narrow(value));
  }

  /// This thread's part of the sum of squares.
  static LOCKSTEP_INLINE float addResidual(const u8* sum, u8* residual, u64 hidden) {
    float squares = 0;
    for (u64 i = thread(); i < hidden; i += threads()) {
      const float x = get(sum, i) + get(residual, i);
      put(residual, i, x);
      squares += x * x;
    }
    return squares;
  }
  static LOCKSTEP_INLINE float sumOfBlock(float mine, Shared& shared) {
    shared.sums[thread()] = mine;
    syncThreads();
    for (u32 n = threads(); n > 1;) {
      const u32 half = (n + 1) / 2;
      if (thread() + half < n) shared.sums[thread()] += shared.sums[thread() + half];
      syncThreads();
      n = half;
    }
    const float sum = shared.sums[0];
    syncThreads();  // before the next row's
    return sum;
  }
  static LOCKSTEP_INLINE void scale(u8* out, const u8* residual, const u8* weight, u64 hidden,
                                    float factor) {
    for (u64 i = thread(); i < hidden; i += threads())
      put(out, i, get(residual, i) * get(weight, i) * factor);
  }
};

}  // namespace lockstep::device
