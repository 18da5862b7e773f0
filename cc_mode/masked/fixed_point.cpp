#include "cc_mode/masked/fixed_point.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/fail.hpp"

namespace lockstep::cc {
namespace {

/// Of chunks of zeros, and the least of any: the smallest f64 is 2^-1074.
constexpr std::int32_t kLeastExponent = -1073;

double powerOfTwo(int exponent) {
  return std::ldexp(1.0, exponent);
}

// ---- the types: their bits, and doubles that hold them exactly ----

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
    const auto magnitude = static_cast<std::uint32_t>(bits & ~Self::kSign) << kShift;
    const double value = std::bit_cast<float>(magnitude) * kFactor;
    return (bits & Self::kSign) != 0 ? -value : value;
  }
  static std::uint16_t fromDouble(double value) {
    const double magnitude = std::abs(rounded<Self>(value));
    const std::uint16_t sign = std::signbit(value) ? Self::kSign : 0;
    if (!(magnitude < kTooLarge)) return sign | Self::kInfinity;
    const auto scaled = static_cast<float>(magnitude / kFactor);
    return static_cast<std::uint16_t>(sign | std::bit_cast<std::uint32_t>(scaled) >> kShift);
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

template <class F>
typename F::Bits load(const std::byte* in, std::size_t index) {
  typename F::Bits bits;
  std::memcpy(&bits, in + index * sizeof bits, sizeof bits);
  return bits;
}

template <class F>
void store(std::byte* out, std::size_t index, double value) {
  const typename F::Bits bits = F::fromDouble(value);
  std::memcpy(out + index * sizeof bits, &bits, sizeof bits);
}

// ---- the unit ----

/// F: bits of the largest number a rank may give.
int fractionBits(int worldSize) {
  return 62 - std::bit_width(static_cast<unsigned>(worldSize) - 1);
}

/// log2 of 1 / unit.
int scaleOf(const ChunkFormat& format) {
  return fractionBits(format.worldSize) - std::max(format.exponent, kLeastExponent);
}

/// Multiplies by a power of two, in two steps: one alone may be more than a double holds.
class Scaling {
 public:
  explicit Scaling(int exponent)
      : first_(powerOfTwo(exponent / 2)), second_(powerOfTwo(exponent - exponent / 2)) {}
  double operator()(double value) const { return value * first_ * second_; }

 private:
  double first_, second_;
};

/// `sum` with at most 53 bits: the last stands for all below it too ("round to odd"), so that
/// rounding to a type of less than 52 bits afterwards is rounding once.
double toOdd(std::int64_t sum) {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  constexpr std::int64_t kBelow = (1 << 10) - 1;
  // Without a branch: sums of one chunk are on either side.
  const std::int64_t odd = (sum & ~kBelow) | (((sum & kBelow) + kBelow) & (kBelow + 1));
  return static_cast<double>(sum > -kExact && sum < kExact ? sum : odd);
}

}  // namespace

std::int32_t exponentOf(DataType type, const std::byte* in, std::size_t count) {
  return withFloat(type, [&](auto f) -> std::int32_t {
    using F = decltype(f);
    typename F::Bits most = 0;  // magnitudes are ordered as their bits are
    for (std::size_t i = 0; i < count; ++i)
      most = std::max(most, static_cast<typename F::Bits>(load<F>(in, i) & ~F::kSign));
    if (most >= F::kInfinity) return kNotFinite;
    if (most == 0) return kLeastExponent;
    return std::ilogb(F::toDouble(most)) + 1;
  });
}

void toFixedPoint(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words) {
  const Scaling scale(scaleOf(format));
  const auto bias = std::uint64_t{1} << fractionBits(format.worldSize);
  withFloat(format.type, [&](auto f) {
    using F = decltype(f);
    for (std::size_t i = 0; i < words.size(); ++i)
      words[i] = static_cast<std::uint64_t>(std::llrint(scale(F::toDouble(load<F>(in, i))))) + bias;
  });
}

void fromFixedPoint(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                    std::byte* out) {
  // Dividing by a power of two is a smaller unit; by 1, nothing.
  const bool divides = !std::has_single_bit(static_cast<unsigned>(format.divisor));
  const int halvings = divides ? 0 : std::bit_width(static_cast<unsigned>(format.divisor)) - 1;
  const Scaling unit(-scaleOf(format) - halvings);
  const std::uint64_t bias = static_cast<std::uint64_t>(format.worldSize)
                             << fractionBits(format.worldSize);
  withFloat(format.type, [&](auto f) {
    using F = decltype(f);
    const auto whole = [&](std::size_t i) {
      const auto sum = static_cast<std::int64_t>(sums[i] - bias);
      return F::kMantissa < F64::kMantissa ? toOdd(sum) : static_cast<double>(sum);
    };
    if (divides)
      for (std::size_t i = 0; i < sums.size(); ++i)
        store<F>(out, i, unit(whole(i) / format.divisor));
    else
      for (std::size_t i = 0; i < sums.size(); ++i) store<F>(out, i, unit(whole(i)));
  });
}

}  // namespace lockstep::cc
