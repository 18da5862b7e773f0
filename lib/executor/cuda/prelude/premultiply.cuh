// The pass before a premultiplied sum: a tile of this rank's elements, times its factor, into the
// lane's scratch. From then on it is a sum of products, of which nothing is read in place.
#pragma once

#include "executor/cuda/prelude/elements.cuh"
#include "executor/cuda/prelude/layout.cuh"

namespace lockstep::device {

/// `kFirst`: the chunk of scratch where products begin. `kBlocks`: blocks of `in`.
template <class Type, u32 kFirst, u32 kBlocks>
struct Premultiply {
  /// To be called by the block when nobody reads the products of the tile before. Other threads see
  /// them after a barrier, with which every operation begins.
  template <class Lane>
  static LOCKSTEP_INLINE void run(Lane& lane) {
    const Call& call = lane.call();
    const u64 bytes = lane.tile().elements * Type::kBytes;
    LOCKSTEP_NO_UNROLL
    for (u32 block = 0; block < kBlocks; ++block)
      multiply(call.in + (block * call.count + lane.tile().first) * Type::kBytes,
               lane.product(kFirst, block, 0).at, bytes, factorOf(call.factor));
  }

 private:
  using Bits = typename Type::Bits;
  using Value = typename Type::Value;

  /// `to` begins at 16 bytes, and has room for whole ones.
  static LOCKSTEP_INLINE void multiply(const u8* from, u8* to, u64 bytes, Value factor) {
    const u64 whole = reinterpret_cast<u64>(from) % 16 == 0 ? bytes / 16 * 16 : 0;
    const u64 step = u64{threads()} * 16;
    LOCKSTEP_NO_UNROLL
    for (u64 i = u64{thread()} * 16; i < whole; i += kUnroll * step) {
      Bits128 v[kUnroll];  // on their way at once; beyond the end the last ones once more
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u)
        v[u] = load(from + (i + u * step < whole ? i + u * step : whole - 16));
      LOCKSTEP_UNROLL
      for (u32 u = 0; u < kUnroll; ++u)
        if (i + u * step < whole) store(to + i + u * step, productsOf(v[u], factor));
    }
    LOCKSTEP_NO_UNROLL
    for (u64 i = whole + u64{thread()} * 16; i < bytes; i += step) {
      const u64 left = (bytes - i) / Type::kBytes;
      const u32 some = left < kEach ? static_cast<u32>(left) : kEach;
      store(to + i, productsOf(loadPartial<Type>(from + i, some), factor));
    }
  }
  static LOCKSTEP_INLINE Bits128 productsOf(const Bits128& v, Value factor) {
    Bits128 products{};
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kEach; ++i)
      putElement(products, i,
                 Type::narrow(Prod::fold<Type>(Type::widen(elementAt<Bits>(v, i)), factor)));
    return products;
  }
  /// As its launcher packed it: the lowest bytes (executor/cuda/call.hpp, packFactor).
  static LOCKSTEP_INLINE Value factorOf(u64 packed) {
    if constexpr (sizeof(Value) == 8)
      return __builtin_bit_cast(Value, packed);
    else if constexpr (sizeof(Value) == 4)
      return __builtin_bit_cast(Value, static_cast<u32>(packed));
    else
      return __builtin_bit_cast(Value, static_cast<u8>(packed));
  }

  static constexpr u32 kEach = 16 / Type::kBytes;  ///< elements that a thread takes at once
  static constexpr u32 kUnroll = 8;                ///< as move.cuh, of one source
};

}  // namespace lockstep::device
