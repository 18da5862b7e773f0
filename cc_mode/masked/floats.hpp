// Floats by their bits, and the doubles that hold them exactly: one element at a time, for loops
// that a compiler makes vectors of.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "base/fail.hpp"
#include <lockstep/types.hpp>

namespace lockstep::cc {

template <class Bits_, int kMantissa_, int kExponentBits>
struct Float {
  using Bits = Bits_;
  static constexpr int kMantissa = kMantissa_;  ///< bits after the point
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr Bits kSign = static_cast<Bits>(Bits{1} << (kMantissa + kExponentBits));
  static constexpr Bits kInfinity =
      static_cast<Bits>(((Bits{1} << kExponentBits) - 1) << kMantissa);
};

struct F64 : Float<std::uint64_t, 52, 11> {
  static double toDouble(Bits bits) { return std::bit_cast<double>(bits); }
  static Bits fromDouble(double value) { return std::bit_cast<Bits>(value); }
};

struct F32 : Float<std::uint32_t, 23, 8> {
  static double toDouble(Bits bits) { return std::bit_cast<float>(bits); }
  static Bits fromDouble(double value) { return std::bit_cast<Bits>(static_cast<float>(value)); }
};

/// `value` with no more bits than a type has, rounded to nearest, ties to even. Larger values than
/// the type holds stay as they are.
template <class F>
double rounded(double value) {
  constexpr int kSmallest = 1 - F::kBias;  // exponent of the smallest normal number
  constexpr int kDoubleMantissa = F64::kMantissa, kDoubleBias = F64::kBias;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int exponent = static_cast<int>((bits & ~F64::kSign) >> kDoubleMantissa) - kDoubleBias;
  // Adding 1.5 * 2^(52 + q) leaves no room for bits below 2^q.
  const int last = std::max(exponent, kSmallest) - F::kMantissa + kDoubleMantissa;
  const auto magic = std::bit_cast<double>(
      static_cast<std::uint64_t>(last + kDoubleBias) << kDoubleMantissa | std::uint64_t{1} << 51);
  return (value + magic) - magic;
}

/// A float of 16 bits, by the f32 whose upper bits are its own, but for a factor.
template <int kMantissa, int kExponentBits>
struct Half : Float<std::uint16_t, kMantissa, kExponentBits> {
  using Self = Float<std::uint16_t, kMantissa, kExponentBits>;
  static constexpr int kShift = F32::kMantissa - kMantissa;
  static double toDouble(std::uint16_t bits) {
    const std::uint32_t wide = bits;
    const std::uint32_t sign = (wide & Self::kSign) << 16;
    const std::uint32_t magnitude = (wide & (Self::kSign - 1U)) << kShift;
    return std::bit_cast<float>(sign | magnitude) * kFactor;
  }
  static std::uint16_t fromDouble(double value) {
    const double magnitude = std::abs(rounded<Self>(value));
    const auto sign = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(value) >> 63) << 15;
    const auto scaled = static_cast<float>(magnitude * (1 / kFactor));
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(scaled) >> kShift;
    return static_cast<std::uint16_t>(sign | (magnitude < kTooLarge ? bits : Self::kInfinity));
  }

 private:
  static constexpr double kFactor = std::bit_cast<double>(
      static_cast<std::uint64_t>(F64::kBias + F32::kBias - Self::kBias) << F64::kMantissa);
  static constexpr double kTooLarge = std::bit_cast<double>(
      static_cast<std::uint64_t>(F64::kBias + Self::kBias + 1) << F64::kMantissa);
};
using F16 = Half<10, 5>;
using Bf16 = Half<7, 8>;

/// Calls `visit` with a type.
template <class Visit>
auto withFloat(DataType type, Visit visit) {
  switch (type) {
    case DataType::f16:
      return visit(F16());
    case DataType::bf16:
      return visit(Bf16());
    case DataType::f32:
      return visit(F32());
    case DataType::f64:
      return visit(F64());
    default:
      fail(ErrorCode::internal, "{} has no fixed point", name(type));
  }
}

}  // namespace lockstep::cc
