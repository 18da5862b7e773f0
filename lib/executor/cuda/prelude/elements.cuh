// Reduction of packed elements: 16 bytes (what a thread loads and stores at once) or 8 (what a line
// of protocol ll carries) from k sources, folded in the order given, rounded once. The bits are
// those of the host executor (executor/host/reduce.hpp says what they are), but for a NaN's payload
// and sign without oneNan.
//
// That needs arithmetic as written: subnormals not flushed, exact division, and no product fused
// with a sum (NVRTC: --fmad=false and none of --use_fast_math; g++: -ffp-contract=off).
#pragma once

#include "executor/cuda/prelude/floats.cuh"
#include "executor/cuda/prelude/platform.cuh"

namespace lockstep::device {

// ---- Element types, in the order of lockstep::DataType.
//
// Bits: as they lie in memory. Value: what is folded. Wrapping: what sums and products are computed
// in; of integers one whose overflow wraps. Divided: what an average is divided in.

/// Folded in f32.
template <class BitsType>
struct Widened {
  using Bits = BitsType;
  using Value = float;
  using Wrapping = float;
  using Divided = float;
  static constexpr u32 kBytes = sizeof(Bits);
  static constexpr bool kIsFloat = true;
};

/// Folded as it is.
template <class ValueType, class BitsType, class WrappingType, class DividedType>
struct Plain {
  using Bits = BitsType;
  using Value = ValueType;
  using Wrapping = WrappingType;
  using Divided = DividedType;
  static constexpr u32 kBytes = sizeof(Bits);
  static constexpr bool kIsFloat = false;
  static LOCKSTEP_INLINE Value widen(Bits bits) { return __builtin_bit_cast(Value, bits); }
  static LOCKSTEP_INLINE Bits narrow(Value value) { return __builtin_bit_cast(Bits, value); }
};

struct F16 : Widened<u16> {
  static constexpr Bits kNan = 0x7e00;
  static LOCKSTEP_INLINE Value widen(Bits bits) { return halfToFloat(bits); }
  static LOCKSTEP_INLINE Bits narrow(Value value) { return floatToHalf(value); }
};
struct BF16 : Widened<u16> {
  static constexpr Bits kNan = 0x7fc0;
  static LOCKSTEP_INLINE Value widen(Bits bits) { return brainToFloat(bits); }
  static LOCKSTEP_INLINE Bits narrow(Value value) { return floatToBrain(value); }
};
struct F32 : Plain<float, u32, float, float> {
  static constexpr bool kIsFloat = true;
  static constexpr Bits kNan = 0x7fc00000;
};
struct F64 : Plain<double, u64, double, double> {
  static constexpr bool kIsFloat = true;
  static constexpr Bits kNan = 0x7ff8000000000000;
};
struct I8 : Plain<i8, u8, u32, i32> {};
struct U8 : Plain<u8, u8, u32, u32> {};
struct I32 : Plain<i32, u32, u32, i32> {};
struct U32 : Plain<u32, u32, u32, u32> {};
struct I64 : Plain<i64, u64, u64, i64> {};
struct U64 : Plain<u64, u64, u64, u64> {};
struct F8E4M3 : Widened<u8> {
  static constexpr Bits kNan = 0x7f;
  static LOCKSTEP_INLINE Value widen(Bits bits) { return E4M3::toFloat(bits); }
  static LOCKSTEP_INLINE Bits narrow(Value value) { return floatToQuarter<E4M3>(value); }
};
struct F8E5M2 : Widened<u8> {
  static constexpr Bits kNan = 0x7f;
  static LOCKSTEP_INLINE Value widen(Bits bits) { return E5M2::toFloat(bits); }
  static LOCKSTEP_INLINE Bits narrow(Value value) { return floatToQuarter<E5M2>(value); }
};

// ---- Reductions: how the next source joins what was folded. `avg` is a Sum that ends with a
// divisor; `preMulSum` is a Sum of products.

struct Sum {
  template <class Type, class Value = typename Type::Value>
  static LOCKSTEP_INLINE Value fold(Value folded, Value x) {
    using Wrapping = typename Type::Wrapping;
    return static_cast<Value>(static_cast<Wrapping>(folded) + static_cast<Wrapping>(x));
  }
};

struct Prod {
  template <class Type, class Value = typename Type::Value>
  static LOCKSTEP_INLINE Value fold(Value folded, Value x) {
    using Wrapping = typename Type::Wrapping;
    return static_cast<Value>(static_cast<Wrapping>(folded) * static_cast<Wrapping>(x));
  }
};

/// Of floats, the number when one is a NaN, and -0 below +0, so that order never shows. Selects,
/// not branches: no thread of a warp waits for another's case.
struct Min {
  template <class Type, class Value = typename Type::Value>
  static LOCKSTEP_INLINE Value fold(Value folded, Value x) {
    if constexpr (Type::kIsFloat) {
      // Equal ones have equal bits, but for the sign of zero.
      const auto equal = __builtin_bit_cast(Value, bitsOf(x) | bitsOf(folded));
      const bool takes = (x < folded) | (folded != folded);
      return x == folded ? equal : takes ? x : folded;
    } else {
      return x < folded ? x : folded;
    }
  }
};

/// As Min.
struct Max {
  template <class Type, class Value = typename Type::Value>
  static LOCKSTEP_INLINE Value fold(Value folded, Value x) {
    if constexpr (Type::kIsFloat) {
      const auto equal = __builtin_bit_cast(Value, bitsOf(x) & bitsOf(folded));
      const bool takes = (x > folded) | (folded != folded);
      return x == folded ? equal : takes ? x : folded;
    } else {
      return x > folded ? x : folded;
    }
  }
};

// ---- Packed elements: `index` is known when compiled.

template <u32 kBytes>
struct PackedBytes;
template <>
struct PackedBytes<16> {
  using Type = Bits128;
};
template <>
struct PackedBytes<8> {
  using Type = u64;
};
template <u32 kBytes>
using Packed = typename PackedBytes<kBytes>::Type;

template <class Bits>
LOCKSTEP_INLINE Bits elementAt(u64 packed, u32 index) {
  return static_cast<Bits>(packed >> 8 * sizeof(Bits) * index);
}
template <class Bits>
LOCKSTEP_INLINE Bits elementAt(const Bits128& packed, u32 index) {
  constexpr u32 half = 8 / sizeof(Bits);
  const u32* word = packed.word + index / half * 2;
  return elementAt<Bits>(u64{word[0]} | u64{word[1]} << 32, index % half);
}

/// Into what is zero there.
template <class Bits>
LOCKSTEP_INLINE void putElement(u64& packed, u32 index, Bits bits) {
  packed |= u64{bits} << 8 * sizeof(Bits) * index;
}
template <class Bits>
LOCKSTEP_INLINE void putElement(Bits128& packed, u32 index, Bits bits) {
  constexpr u32 half = 8 / sizeof(Bits);
  u64 part = 0;
  putElement(part, index % half, bits);
  u32* word = packed.word + index / half * 2;
  word[0] |= static_cast<u32>(part);
  word[1] |= static_cast<u32>(part >> 32);
}

// ---- What kernels call.

/// The elements of 16 or 8 bytes while they are folded, in registers.
template <class Type, u32 kBytes = 16>
class Accumulator {
 public:
  /// The first source.
  LOCKSTEP_INLINE void set(const Packed<kBytes>& source) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kElements; ++i) values_[i] = valueAt(source, i);
  }

  /// The next one.
  template <class Op>
  LOCKSTEP_INLINE void add(const Packed<kBytes>& source) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kElements; ++i)
      values_[i] = Op::template fold<Type>(values_[i], valueAt(source, i));
  }

  /// Ends the fold: divided (1: not), rounded. oneNan: every NaN is the quiet one without payload
  /// and sign; after a division it always is. Arguments known when compiled cost nothing.
  LOCKSTEP_INLINE Packed<kBytes> get(u32 divisor, bool oneNan) {
    if (divisor != 1) divide(static_cast<typename Type::Divided>(divisor));
    const bool one = oneNan || divisor != 1;
    Packed<kBytes> result{};
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kElements; ++i) putElement(result, i, narrowed(values_[i], one));
    return result;
  }

 private:
  using Value = typename Type::Value;
  using Bits = typename Type::Bits;
  static constexpr u32 kElements = kBytes / Type::kBytes;

  static LOCKSTEP_INLINE Value valueAt(const Packed<kBytes>& source, u32 i) {
    return Type::widen(elementAt<Bits>(source, i));
  }

  /// Exactly, and of integers towards zero.
  LOCKSTEP_INLINE void divide(typename Type::Divided divisor) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < kElements; ++i) values_[i] = static_cast<Value>(values_[i] / divisor);
  }

  static LOCKSTEP_INLINE Bits narrowed(Value value, bool oneNan) {
    if constexpr (Type::kIsFloat)
      if (oneNan && value != value) return Type::kNan;
    return Type::narrow(value);
  }

  Value values_[kElements];
};

template <class Type, class Op, class Pack, u32 kSources>
LOCKSTEP_INLINE Pack reduce(const Pack (&sources)[kSources], u32 divisor, bool oneNan);

/// Eight bytes, then the other eight: of many sources NVRTC unpacks all bytes before it folds one,
/// and has registers for half of them (sm_103, sm_120, sm_121).
template <class Type, class Op, u32 kSources>
LOCKSTEP_INLINE Bits128 reduceHalves(const Bits128 (&sources)[kSources], u32 divisor,
                                     bool oneNan) {
  Bits128 result{};
  LOCKSTEP_UNROLL
  for (u32 half = 0; half < 4; half += 2) {
    u64 parts[kSources];
    LOCKSTEP_UNROLL
    for (u32 j = 0; j < kSources; ++j)
      parts[j] = u64{sources[j].word[half]} | u64{sources[j].word[half + 1]} << 32;
    const u64 folded = reduce<Type, Op>(parts, divisor, oneNan);
    result.word[half] = static_cast<u32>(folded);
    result.word[half + 1] = static_cast<u32>(folded >> 32);
  }
  return result;
}

/// Sources in registers to one. A single one that nothing is done to keeps its bits, whatever they
/// are: signalling NaNs, infinities of F8E5M2. (An Accumulator would round it.)
template <class Type, class Op, class Pack, u32 kSources>
LOCKSTEP_INLINE Pack reduce(const Pack (&sources)[kSources], u32 divisor, bool oneNan) {
  if constexpr (kSources == 1)
    if (divisor == 1) return sources[0];
  if constexpr (Type::kBytes == 1 && sizeof(Pack) == 16 && kSources > 4)
    return reduceHalves<Type, Op>(sources, divisor, oneNan);
  Accumulator<Type, sizeof(Pack)> folded;
  folded.set(sources[0]);
  LOCKSTEP_UNROLL
  for (u32 j = 1; j < kSources; ++j) folded.template add<Op>(sources[j]);
  return folded.get(divisor, oneNan);
}

// The ends of buffers, and buffers that 16 bytes at a time cannot be taken from since only their
// elements are aligned, go the same way, but are loaded and stored one element at a time.

/// The first `elements` from `at`, aligned to their size; all when there are more than fit. The
/// rest is zero, and its memory not touched.
template <class Type, u32 kBytes = 16>
LOCKSTEP_INLINE Packed<kBytes> loadPartial(const void* at, u32 elements) {
  using Bits = typename Type::Bits;
  Packed<kBytes> packed{};
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kBytes / Type::kBytes; ++i)
    if (i < elements)
      putElement(packed, i, loadElement<Bits>(static_cast<const u8*>(at) + i * Type::kBytes));
  return packed;
}

/// As loadPartial.
template <class Type, u32 kBytes = 16>
LOCKSTEP_INLINE void storePartial(void* at, const Packed<kBytes>& packed, u32 elements) {
  using Bits = typename Type::Bits;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < kBytes / Type::kBytes; ++i)
    if (i < elements)
      storeElement(static_cast<u8*>(at) + i * Type::kBytes, elementAt<Bits>(packed, i));
}

}  // namespace lockstep::device
