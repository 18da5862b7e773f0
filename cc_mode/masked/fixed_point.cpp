#include "cc_mode/masked/fixed_point.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/fail.hpp"
#include "base/simd_targets.hpp"
#include "cc_mode/masked/floats.hpp"
#include "cc_mode/masked/unaligned.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cc_mode/masked/fixed_point.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lockstep::cc::HWY_NAMESPACE {

// Plain loops: the compiler makes vectors of them, for each target its own, and the bits of all
// targets are those of doubles taken one by one.

/// Multiplies by a power of two. For f64 in two steps: one alone may be more than a double holds.
/// Other types need no such power, but for chunks of zeros, to which any will do.
template <class F>
class Scaling {
 public:
  explicit Scaling(int exponent)
      : first_(std::ldexp(1.0, kTwice ? exponent / 2 : std::clamp(exponent, -kMost, kMost))),
        second_(std::ldexp(1.0, exponent - exponent / 2)) {}
  HWY_INLINE double operator()(double value) const {
    return kTwice ? value * first_ * second_ : value * first_;
  }

 private:
  static constexpr bool kTwice = F::kMantissa == F64::kMantissa;
  static constexpr int kMost = 1000;
  double first_, second_;
};

/// `sum` with at most 53 bits: the last stands for all below it too ("round to odd"), so that
/// rounding to a type of less than 52 bits afterwards is rounding once.
HWY_INLINE double toOdd(std::int64_t sum) {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  constexpr std::int64_t kBelow = (1 << 10) - 1;
  // Without a branch: sums of one chunk are on either side.
  const std::int64_t odd = (sum & ~kBelow) | (((sum & kBelow) + kBelow) & (kBelow + 1));
  return static_cast<double>(sum > -kExact && sum < kExact ? sum : odd);
}

/// The bits of the largest magnitude: they are ordered as magnitudes are.
template <class F>
struct Largest {
  using Bits = typename F::Bits;
  static std::uint64_t run(const std::byte* in, std::size_t count) {
    Bits most = 0;
    for (std::size_t i = 0; i < count; ++i)
      most = std::max(most, static_cast<Bits>(load<Bits>(in, i) & (F::kSign - 1)));
    return most;
  }
};

template <class F>
struct ToWhole {
  static void run(int scale, std::uint64_t bias, const std::byte* in,
                  std::span<std::uint64_t> words) {
    const Scaling<F> scaled(scale);
    for (std::size_t i = 0; i < words.size(); ++i) {
      const double value = F::toDouble(load<typename F::Bits>(in, i));
      words[i] =
          static_cast<std::uint64_t>(static_cast<std::int64_t>(std::rint(scaled(value)))) + bias;
    }
  }
};

template <class F, bool kDivides>
void fromWhole(int scale, std::uint64_t bias, int divisor, std::span<const std::uint64_t> sums,
               std::byte* out) {
  const Scaling<F> scaled(scale);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto sum = static_cast<std::int64_t>(sums[i] - bias);
    double value = F::kMantissa < F64::kMantissa ? toOdd(sum) : static_cast<double>(sum);
    if constexpr (kDivides) value /= divisor;
    store(out, i, F::fromDouble(scaled(value)));
  }
}

/// Of f32, where all sums but zero are normal numbers: they are rounded once, as they are
/// converted.
void fromWholeToNormal(int scale, std::uint64_t bias, std::span<const std::uint64_t> sums,
                       std::byte* out) {
  const float unit = std::ldexp(1.0F, scale);
  for (std::size_t i = 0; i < sums.size(); ++i)
    store(out, i, static_cast<float>(static_cast<std::int64_t>(sums[i] - bias)) * unit);
}

template <class F>
struct FromWhole {
  static void run(int scale, std::uint64_t bias, int divisor, std::span<const std::uint64_t> sums,
                  std::byte* out) {
    if (divisor != 1) return fromWhole<F, true>(scale, bias, divisor, sums, out);
    if constexpr (F::kMantissa == F32::kMantissa)
      if (scale > -F32::kBias) return fromWholeToNormal(scale, bias, sums, out);
    fromWhole<F, false>(scale, bias, divisor, sums, out);
  }
};

// ---- by type ----

template <template <class> class Loop>
auto loopOf(DataType type) {
  switch (type) {
    case DataType::f16:
      return Loop<F16>::run;
    case DataType::bf16:
      return Loop<Bf16>::run;
    case DataType::f32:
      return Loop<F32>::run;
    case DataType::f64:
      return Loop<F64>::run;
    default:
      fail(ErrorCode::internal, "{} has no fixed point", name(type));
  }
}

std::uint64_t largestOf(DataType type, const std::byte* in, std::size_t count) {
  return loopOf<Largest>(type)(in, count);
}
void toWholeOf(DataType type, int scale, std::uint64_t bias, const std::byte* in,
               std::span<std::uint64_t> words) {
  loopOf<ToWhole>(type)(scale, bias, in, words);
}
void fromWholeOf(DataType type, int scale, std::uint64_t bias, int divisor,
                 std::span<const std::uint64_t> sums, std::byte* out) {
  loopOf<FromWhole>(type)(scale, bias, divisor, sums, out);
}

}  // namespace lockstep::cc::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::cc {
namespace {

HWY_EXPORT(largestOf);
HWY_EXPORT(toWholeOf);
HWY_EXPORT(fromWholeOf);

/// Of chunks of zeros, and the least of any: the smallest f64 is 2^-1074.
constexpr std::int32_t kLeastExponent = -1073;

/// F: bits of the largest number a rank may give.
int fractionBits(int worldSize) {
  return 62 - std::bit_width(static_cast<unsigned>(worldSize) - 1);
}

/// log2 of 1 / unit.
int scaleOf(const ChunkFormat& format) {
  return fractionBits(format.worldSize) - std::max(format.exponent, kLeastExponent);
}

/// The least E with |x| < 2^E.
template <class F>
std::int32_t exponentAbove(std::uint64_t bits) {
  if (bits >= F::kInfinity) return kNotFinite;
  if (bits == 0) return kLeastExponent;
  return std::ilogb(F::toDouble(static_cast<typename F::Bits>(bits))) + 1;
}

}  // namespace

std::int32_t exponentOf(DataType type, const std::byte* in, std::size_t count) {
  const std::uint64_t most = HWY_DYNAMIC_DISPATCH(largestOf)(type, in, count);
  return withFloat(type, [&](auto f) { return exponentAbove<decltype(f)>(most); });
}

void toFixedPoint(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words) {
  HWY_DYNAMIC_DISPATCH(toWholeOf)
  (format.type, scaleOf(format), std::uint64_t{1} << fractionBits(format.worldSize), in, words);
}

void fromFixedPoint(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                    std::byte* out) {
  // Dividing by a power of two is a smaller unit; by 1, nothing.
  const auto divisor = static_cast<unsigned>(format.divisor);
  const bool divides = !std::has_single_bit(divisor);
  const int halvings = divides ? 0 : std::bit_width(divisor) - 1;
  const std::uint64_t bias = static_cast<std::uint64_t>(format.worldSize)
                             << fractionBits(format.worldSize);
  HWY_DYNAMIC_DISPATCH(fromWholeOf)
  (format.type, -scaleOf(format) - halvings, bias, divides ? format.divisor : 1, sums, out);
}

}  // namespace lockstep::cc
#endif
