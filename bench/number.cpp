#include "bench/number.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

std::uint64_t sign(std::uint32_t f32) {
  return f32 >> 16 & 0x8000u;
}

std::uint64_t toBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

/// By scaling to whole units of the last place (2^-10 of the exponent, at least 2^-24): nearbyint
/// then rounds to nearest even.
std::uint64_t toF16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return sign(bits) | 0x7e00u;
  const double size = std::fabs(static_cast<double>(value));
  if (size >= 65520) return sign(bits) | 0x7c00u;  // halfway between the largest f16 and 2^16
  const int exponent = std::max(size > 0 ? std::ilogb(size) : -15, -14);
  const auto units = static_cast<std::uint64_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  // A carry out of the significand becomes the next exponent by itself; so does a subnormal's.
  return sign(bits) | (units + (static_cast<std::uint64_t>(exponent + 14) << 10));
}

double fromF16(std::uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const auto fraction = static_cast<double>(bits & 1023);
  double size = exponent == 0    ? std::ldexp(fraction, -24)
                : exponent == 31 ? (fraction > 0 ? std::nan("") : HUGE_VAL)
                                 : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000u ? -size : size;
}

float toF32(std::uint64_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
}

std::int64_t asSigned(Number n) {
  return static_cast<std::int64_t>(n.whole);
}

std::uint64_t divide(DataType type, Number sum, int worldSize) {
  return kindOf(type) == Kind::signedInteger ? static_cast<std::uint64_t>(asSigned(sum) / worldSize)
                                             : sum.whole / static_cast<std::uint64_t>(worldSize);
}

}  // namespace

Kind kindOf(DataType type) {
  switch (type) {
    case DataType::f16:
    case DataType::bf16:
    case DataType::f32:
    case DataType::f64:
      return Kind::floating;
    case DataType::i8:
    case DataType::i32:
    case DataType::i64:
      return Kind::signedInteger;
    default:
      return Kind::unsignedInteger;
  }
}

std::uint64_t lowBits(DataType type) {
  return ~std::uint64_t{0} >> (64 - 8 * sizeOf(type));
}

int mantissaBits(DataType type) {
  switch (type) {
    case DataType::f16:
      return 11;
    case DataType::bf16:
      return 8;
    case DataType::f32:
      return 24;
    default:
      return 53;
  }
}

Number decode(DataType type, std::uint64_t bits) {
  switch (type) {
    case DataType::f16:
      return {fromF16(bits), 0};
    case DataType::bf16:
      return {toF32(bits << 16), 0};
    case DataType::f32:
      return {toF32(bits), 0};
    case DataType::f64:
      return {std::bit_cast<double>(bits), 0};
    default: {
      const std::uint64_t top = (lowBits(type) >> 1) + 1;
      const bool negative = kindOf(type) == Kind::signedInteger && (bits & top) != 0;
      return {0, negative ? bits | ~lowBits(type) : bits};
    }
  }
}

std::uint64_t encode(DataType type, double value) {
  switch (type) {
    case DataType::f16:
      return toF16(static_cast<float>(value));
    case DataType::bf16:
      return toBf16(static_cast<float>(value));
    case DataType::f32:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    default:
      return std::bit_cast<std::uint64_t>(value);
  }
}

Number combine(DataType type, Reduction reduction, Number a, Number b) {
  const bool bySign = kindOf(type) == Kind::signedInteger;
  const bool wholeLess = bySign ? asSigned(a) < asSigned(b) : a.whole < b.whole;
  switch (reduction) {
    case Reduction::prod:
      return {a.real * b.real, a.whole * b.whole};
    case Reduction::min:
      return {std::min(a.real, b.real), wholeLess ? a.whole : b.whole};
    case Reduction::max:
      return {std::max(a.real, b.real), wholeLess ? b.whole : a.whole};
    default:
      return {a.real + b.real, a.whole + b.whole};
  }
}

std::uint64_t finish(DataType type, Reduction reduction, int worldSize, Number value) {
  const bool average = reduction == Reduction::avg;
  if (kindOf(type) != Kind::floating)
    return (average ? divide(type, value, worldSize) : value.whole) & lowBits(type);
  if (!average) return encode(type, value.real);
  if (type == DataType::f64) return encode(type, value.real / worldSize);
  return encode(type, static_cast<float>(value.real) / static_cast<float>(worldSize));
}

std::string formatNumber(DataType type, std::uint64_t bits) {
  const Number number = decode(type, bits);
  if (kindOf(type) == Kind::floating) return fmt::format("{}", number.real);
  return kindOf(type) == Kind::signedInteger ? fmt::format("{}", asSigned(number))
                                             : fmt::format("{}", number.whole);
}

}  // namespace lockstep::bench
