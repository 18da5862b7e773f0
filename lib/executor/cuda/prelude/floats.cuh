// How floats of 16 and 8 bits become f32, which is exact, and how an f32 is rounded to them: to
// nearest even, with the bits that the host executor gives (executor/host/element-inl.hpp). f16 is
// the platform's. What a machine chooses for a NaN's payload and sign passes through; it stays a
// NaN whatever they are.
#pragma once

#include "executor/cuda/prelude/platform.cuh"

namespace lockstep::device {

LOCKSTEP_INLINE u32 bitsOf(float value) {
  return __builtin_bit_cast(u32, value);
}
LOCKSTEP_INLINE u64 bitsOf(double value) {
  return __builtin_bit_cast(u64, value);
}
LOCKSTEP_INLINE float floatOf(u32 bits) {
  return __builtin_bit_cast(float, bits);
}

/// bf16 is the upper half of an f32.
LOCKSTEP_INLINE float brainToFloat(u16 brain) {
  return floatOf(u32{brain} << 16);
}

/// Adding 0x7fff, or 0x8000 where the upper half is odd, carries into it exactly when rounding up
/// is due. A NaN is cut, and kept one, since a GPU's own has every bit below the sign set: that
/// would carry into the sign, and be -0.
LOCKSTEP_INLINE u16 floatToBrain(float value) {
  const u32 bits = bitsOf(value);
  const u32 rounded = bits + 0x7fff + (bits >> 16 & 1);
  const u32 quiet = bits | 0x00400000;
  return static_cast<u16>((value != value ? quiet : rounded) >> 16);
}

/// E4M3: 448 is the largest, 2^-6 the smallest normal. What would be infinity is a number, and only
/// what would be the largest is a NaN.
struct E4M3 {
  static constexpr u32 kFractionBits = 3;
  static constexpr u32 kLeastField = 127 - 6;  ///< of an f32 with the exponent of the least normal
  static constexpr float kLargest = 448;

  /// An f16 but for the bias of the exponent.
  static LOCKSTEP_INLINE float toFloat(u8 bits) {
    const u32 half = (u32{bits} & 0x80) << 8 | (u32{bits} & 0x7f) << 7;
    const float number = halfToFloat(static_cast<u16>(half)) * 256;
    return (bits & 0x7f) == 0x7f ? floatOf(0x7fc00000) : number;
  }
};

/// E5M2: the upper half of an f16; 57344 is the largest, 2^-14 the smallest normal.
struct E5M2 {
  static constexpr u32 kFractionBits = 2;
  static constexpr u32 kLeastField = 127 - 14;
  static constexpr float kLargest = 57344;

  static LOCKSTEP_INLINE float toFloat(u8 bits) { return halfToFloat(static_cast<u16>(bits << 8)); }
};

/// To an 8-bit float. What is too large, infinity too, becomes the largest. The FPU rounds: added
/// to 2^23 last places, a number becomes a count of these. What the exponent is above the least is
/// added to its field; a carry does the right thing.
template <class Format>
LOCKSTEP_INLINE u8 floatToQuarter(float value) {
  constexpr u32 dropped = 23 - Format::kFractionBits;
  constexpr u32 least = Format::kLeastField << 23;
  constexpr u32 largest = __builtin_bit_cast(u32, Format::kLargest);
  const u32 sign = bitsOf(value) >> 24 & 0x80;
  const u32 given = bitsOf(value) & 0x7fffffff;
  const u32 magnitude = given < largest ? given : largest;
  const u32 field = magnitude & 0x7f800000;
  const u32 exponent = field > least ? field : least;
  const u32 places = exponent + (dropped << 23);
  const u32 count = bitsOf(floatOf(magnitude) + floatOf(places)) - places;
  const u32 number = count + ((exponent - least) >> dropped);
  return static_cast<u8>(sign | (value != value ? 0x7f : number));
}

}  // namespace lockstep::device
