// Elements and words of masked sums, one at a time and by formulas that no compiler makes vectors
// of: what results are, to the bit, on every CPU.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "cc_mode/masked/fixed_point.hpp"
#include "support/reference.hpp"

namespace lockstep::test {

inline double timesTwoTo(int exponent, double value) {
  return value * std::ldexp(1.0, exponent / 2) * std::ldexp(1.0, exponent - exponent / 2);
}

inline int fractionBits(int world) {
  return 62 - std::bit_width(static_cast<unsigned>(world) - 1);
}

inline int scaleOf(const cc::ChunkFormat& format) {
  return fractionBits(format.worldSize) - std::max(format.exponent, -1073);
}

template <class T>
T integerAt(const std::byte* in, std::size_t index) {
  T value;
  std::memcpy(&value, in + index * sizeof value, sizeof value);
  return value;
}

inline std::int32_t referenceExponent(DataType type, const std::byte* in, std::size_t count) {
  double most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double value = std::fabs(testing::elementAsDouble(type, in, i));
    if (!std::isfinite(value)) return cc::kNotFinite;
    most = std::max(most, value);
  }
  return most == 0 ? -1073 : std::ilogb(most) + 1;
}

/// Of one element: one word, or the two halves.
inline void referenceWords(const cc::ChunkFormat& format, const std::byte* in, std::size_t i,
                           std::uint64_t* words) {
  switch (format.type) {
    case DataType::i8:
      *words = static_cast<std::uint64_t>(integerAt<std::int8_t>(in, i) + 128);
      return;
    case DataType::u8:
      *words = integerAt<std::uint8_t>(in, i);
      return;
    case DataType::i32:
      *words = static_cast<std::uint64_t>(integerAt<std::int32_t>(in, i) + (std::int64_t{1} << 31));
      return;
    case DataType::u32:
      *words = integerAt<std::uint32_t>(in, i);
      return;
    case DataType::i64:
    case DataType::u64:
      words[0] = integerAt<std::uint64_t>(in, i) & 0xffff'ffffU;
      words[1] = integerAt<std::uint64_t>(in, i) >> 32;
      return;
    default:
      *words = static_cast<std::uint64_t>(std::llrint(
                   timesTwoTo(scaleOf(format), testing::elementAsDouble(format.type, in, i)))) +
               (std::uint64_t{1} << fractionBits(format.worldSize));
  }
}

/// `value` with `bits` bits after the point and no exponent below `least`: to nearest even.
inline double roundedTo(int bits, int least, double value) {
  if (value == 0) return value;
  const int last = std::max(std::ilogb(value), least) - bits;
  return std::ldexp(std::nearbyint(std::ldexp(value, -last)), last);
}

/// The bits of a float of 16 bits: `bits` after the point, least exponent `least`.
inline std::uint16_t halfOf(int bits, int least, double value) {
  const double magnitude = std::fabs(roundedTo(bits, least, value));
  const std::uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  std::uint32_t half = 0;
  if (magnitude >= std::ldexp(1.0, 2 - least))
    half = static_cast<std::uint32_t>(2 - 2 * least + 1) << bits;  // infinity
  else if (magnitude < std::ldexp(1.0, least))
    half = static_cast<std::uint32_t>(std::ldexp(magnitude, bits - least));
  else {
    const int exponent = std::ilogb(magnitude);
    half = static_cast<std::uint32_t>(exponent - least + 1) << bits;
    half += static_cast<std::uint32_t>(std::ldexp(magnitude, bits - exponent)) - (1U << bits);
  }
  return static_cast<std::uint16_t>(sign | half);
}

/// `sum` with at most 53 bits, the last of which stands for all below it.
inline double oddOf(std::int64_t sum) {
  if (sum > -(std::int64_t{1} << 53) && sum < std::int64_t{1} << 53)
    return static_cast<double>(sum);
  const std::int64_t below = sum & 1023;
  return static_cast<double>((sum - below) | (below == 0 ? 0 : 1024));
}

template <class T>
void putInteger(std::byte* out, std::size_t i, std::uint64_t sum, int divisor) {
  const auto value = static_cast<T>(static_cast<T>(sum) / static_cast<T>(divisor));
  std::memcpy(out + i * sizeof value, &value, sizeof value);
}

inline void referenceFloat(const cc::ChunkFormat& format, std::uint64_t sum, std::size_t i,
                           std::byte* out) {
  const int fraction = fractionBits(format.worldSize);
  const auto world = static_cast<std::uint64_t>(format.worldSize);
  const auto signedSum = static_cast<std::int64_t>(sum - (world << fraction));
  double value = format.type == DataType::f64 ? static_cast<double>(signedSum) : oddOf(signedSum);
  int exponent = -scaleOf(format);
  if (std::has_single_bit(static_cast<unsigned>(format.divisor)))
    exponent -= std::countr_zero(static_cast<unsigned>(format.divisor));
  else
    value /= format.divisor;
  value = timesTwoTo(exponent, value);
  const auto single = static_cast<float>(value);
  const std::uint16_t half =
      format.type == DataType::f16 ? halfOf(10, -14, value) : halfOf(7, -126, value);
  if (format.type == DataType::f64)
    std::memcpy(out + i * 8, &value, 8);
  else if (format.type == DataType::f32)
    std::memcpy(out + i * 4, &single, 4);
  else
    std::memcpy(out + i * 2, &half, 2);
}

/// One element of its words' sums.
inline void referenceElement(const cc::ChunkFormat& format, const std::uint64_t* sums,
                             std::size_t i, std::byte* out) {
  const auto world = static_cast<std::uint64_t>(format.worldSize);
  const int divisor = format.divisor;
  switch (format.type) {
    case DataType::i8:
      return putInteger<std::int8_t>(out, i, sums[i] - world * 128, divisor);
    case DataType::u8:
      return putInteger<std::uint8_t>(out, i, sums[i], divisor);
    case DataType::i32:
      return putInteger<std::int32_t>(out, i, sums[i] - (world << 31), divisor);
    case DataType::u32:
      return putInteger<std::uint32_t>(out, i, sums[i], divisor);
    case DataType::i64:
      return putInteger<std::int64_t>(out, i, sums[2 * i] + (sums[2 * i + 1] << 32), divisor);
    case DataType::u64:
      return putInteger<std::uint64_t>(out, i, sums[2 * i] + (sums[2 * i + 1] << 32), divisor);
    default:
      return referenceFloat(format, sums[i], i, out);
  }
}

}  // namespace lockstep::test
