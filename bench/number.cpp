#include "bench/number.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

namespace lockstep::bench {
namespace {

std::uint64_t toBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return bits >> 16 | 0x40u;
  return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}

/// A float of few bits: sign, exponent, fraction. Its last place is 2^-fraction of the exponent,
/// which is at least `least`; the exponent field of that is 1.
struct Small {
  int bits, fraction, least;
  double tooLarge;         ///< from here on it is `overflow`
  std::uint64_t overflow;  ///< infinity, or the largest there is
  std::uint64_t infinity;  ///< 0: there is none
  std::uint64_t quietNan;
};
constexpr Small kF16{16, 10, -14, 65520, 0x7c00, 0x7c00, 0x7e00};
constexpr Small kE4M3{8, 3, -6, 448, 0x7e, 0, 0x7f};
constexpr Small kE5M2{8, 2, -14, 57344, 0x7b, 0x7c, 0x7f};

/// By scaling to whole units of the last place: nearbyint then rounds to nearest even.
std::uint64_t toSmall(const Small& f, float value) {
  const std::uint64_t sign = std::uint64_t{std::signbit(value)} << (f.bits - 1);
  if (std::isnan(value)) return sign | f.quietNan;
  const double size = std::fabs(static_cast<double>(value));
  if (size >= f.tooLarge) return sign | f.overflow;
  const int exponent = std::max(size > 0 ? std::ilogb(size) : f.least, f.least);
  const auto units =
      static_cast<std::uint64_t>(std::nearbyint(std::ldexp(size, f.fraction - exponent)));
  // A carry out of the significand becomes the next exponent by itself; so does a subnormal's.
  return sign | (units + (static_cast<std::uint64_t>(exponent - f.least) << f.fraction));
}

double fromSmall(const Small& f, std::uint64_t bits) {
  const std::uint64_t top = std::uint64_t{1} << (f.bits - 1), magnitude = bits & (top - 1);
  const std::uint64_t leading = std::uint64_t{1} << f.fraction;
  const int field = static_cast<int>(magnitude / leading);
  const auto units = static_cast<double>(magnitude % leading + (field == 0 ? 0 : leading));
  double size = std::ldexp(units, std::max(field - 1, 0) + f.least - f.fraction);
  if (f.infinity != 0 && magnitude == f.infinity) size = HUGE_VAL;
  if (magnitude > (f.infinity != 0 ? f.infinity : f.overflow)) size = std::nan("");
  return bits & top ? -size : size;
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
    case DataType::f8e4m3:
    case DataType::f8e5m2:
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
    case DataType::f8e4m3:
      return 4;
    case DataType::f8e5m2:
      return 3;
    default:
      return 53;
  }
}

Number decode(DataType type, std::uint64_t bits) {
  switch (type) {
    case DataType::f16:
      return {fromSmall(kF16, bits), 0};
    case DataType::f8e4m3:
      return {fromSmall(kE4M3, bits), 0};
    case DataType::f8e5m2:
      return {fromSmall(kE5M2, bits), 0};
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
      return toSmall(kF16, static_cast<float>(value));
    case DataType::f8e4m3:
      return toSmall(kE4M3, static_cast<float>(value));
    case DataType::f8e5m2:
      return toSmall(kE5M2, static_cast<float>(value));
    case DataType::bf16:
      return toBf16(static_cast<float>(value));
    case DataType::f32:
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    default:
      return std::bit_cast<std::uint64_t>(value);
  }
}

Number multiply(Number n, double factor) {
  return {n.real * factor, n.whole * static_cast<std::uint64_t>(factor)};
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
