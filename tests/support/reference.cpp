#include "support/reference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>

namespace lockstep::testing {
namespace {

/// Fields of an IEEE 754 binary format of 16 bits.
struct Format {
  int fractionBits;
  int bias;
  std::uint16_t infinity;
};
constexpr Format kF16{10, 15, 0x7c00};
constexpr Format kBf16{7, 127, 0x7f80};

float decode(const Format& f, std::uint16_t bits) {
  const std::uint16_t magnitude = bits & 0x7fff;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (magnitude > f.infinity) return std::numeric_limits<float>::quiet_NaN();
  if (magnitude == f.infinity) return sign * std::numeric_limits<float>::infinity();
  const int exponent = magnitude >> f.fractionBits;
  const int fraction = magnitude & ((1 << f.fractionBits) - 1);
  const int leading = exponent == 0 ? 0 : 1 << f.fractionBits;
  const int scale = (exponent == 0 ? 1 : exponent) - f.bias - f.fractionBits;
  return sign * std::ldexp(static_cast<float>(leading + fraction), scale);
}

/// Counts the value in units of its last place, rounds that to an integer, and adds it to the
/// exponent field: a carry then does the right thing, up to infinity. From double, so that
/// foldInDouble rounds once as well.
std::uint16_t encode(const Format& f, double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return sign | f.infinity | (1 << (f.fractionBits - 1));
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  const int least = 1 - f.bias;  // exponent of the subnormals and of the smallest normal
  const int exponent = std::isinf(value) ? f.bias + 1 : std::max(std::ilogb(magnitude), least);
  if (exponent > f.bias) return sign | f.infinity;
  // With the leading one counted in `units`, the field before it is one less than the exponent's.
  const double units = std::nearbyint(std::ldexp(magnitude, f.fractionBits - exponent));
  const int field = (exponent - least) << f.fractionBits;
  return static_cast<std::uint16_t>(sign | (field + static_cast<int>(units)));
}

/// All finite values of an 8-bit float that are not negative, by their bits, as the Open Compute
/// Project's specification (OFP8, revision 1.0, table 1) lists them.
class Tiny {
 public:
  Tiny(int fractionBits, int bias, std::uint8_t largest, std::uint8_t infinity)
      : infinity_(infinity) {
    for (int bits = 0; bits <= largest; ++bits) {
      const int exponent = bits >> fractionBits;
      const double fraction = std::ldexp(bits & ((1 << fractionBits) - 1), -fractionBits);
      values_.push_back(exponent == 0 ? std::ldexp(fraction, 1 - bias)
                                      : std::ldexp(1 + fraction, exponent - bias));
    }
  }

  float decode(std::uint8_t bits) const {
    const std::size_t magnitude = bits & 0x7f;
    const float sign = (bits & 0x80) != 0 ? -1.0f : 1.0f;
    if (magnitude < values_.size()) return sign * static_cast<float>(values_[magnitude]);
    return magnitude == infinity_ ? sign * std::numeric_limits<float>::infinity()
                                  : std::numeric_limits<float>::quiet_NaN();
  }

  /// The nearest there is; halfway between two, the one of even bits.
  std::uint8_t encode(double value) const {
    if (std::isnan(value)) return 0x7f;
    const std::uint8_t sign = std::signbit(value) ? 0x80 : 0;
    const double magnitude = std::fabs(value);
    const auto above = std::lower_bound(values_.begin(), values_.end(), magnitude);
    auto bits = static_cast<std::size_t>(above - values_.begin());
    if (bits == values_.size()) return static_cast<std::uint8_t>(sign | (bits - 1));
    if (*above != magnitude) {
      const double up = *above - magnitude, down = magnitude - *(above - 1);
      if (down < up || (down == up && bits % 2 != 0)) --bits;
    }
    return static_cast<std::uint8_t>(sign | bits);
  }

 private:
  std::vector<double> values_;
  std::uint8_t infinity_;
};
const Tiny& e4m3() {
  static const Tiny format(3, 7, 0x7e, 0);  // no infinity: 0 is finite
  return format;
}
const Tiny& e5m2() {
  static const Tiny format(2, 15, 0x7b, 0x7c);
  return format;
}

/// How an element of each type lies in memory (`Stored`) and is computed on (`Number`).
template <class T>
struct Own {
  using Stored = T;
  using Number = T;
  static Number load(Stored s) { return s; }
  template <class N>
  static Stored round(N n) {
    return static_cast<T>(n);
  }
};
template <const Format& format>
struct Small {
  using Stored = std::uint16_t;
  using Number = float;
  static Number load(Stored s) { return decode(format, s); }
  template <class N>
  static Stored round(N n) {
    return encode(format, n);
  }
};

template <const Tiny& format()>
struct Tiniest {
  using Stored = std::uint8_t;
  using Number = float;
  static Number load(Stored s) { return format().decode(s); }
  template <class N>
  static Stored round(N n) {
    return format().encode(n);
  }
};

/// Calls `f` with the element of `type`.
template <class F>
auto withElement(DataType type, F f) {
  switch (type) {
    case DataType::f16:
      return f(Small<kF16>());
    case DataType::bf16:
      return f(Small<kBf16>());
    case DataType::f32:
      return f(Own<float>());
    case DataType::f64:
      return f(Own<double>());
    case DataType::i8:
      return f(Own<std::int8_t>());
    case DataType::u8:
      return f(Own<std::uint8_t>());
    case DataType::i32:
      return f(Own<std::int32_t>());
    case DataType::u32:
      return f(Own<std::uint32_t>());
    case DataType::i64:
      return f(Own<std::int64_t>());
    case DataType::u64:
      return f(Own<std::uint64_t>());
    case DataType::f8e4m3:
      return f(Tiniest<e4m3>());
    case DataType::f8e5m2:
      break;
  }
  return f(Tiniest<e5m2>());
}

template <class E>
typename E::Stored at(const void* elements, std::size_t index) {
  typename E::Stored s;
  std::memcpy(&s, static_cast<const std::byte*>(elements) + index * sizeof s, sizeof s);
  return s;
}

/// Whether `x` replaces `acc` as the minimum, or the maximum.
template <class N>
bool replaces(N acc, N x, bool maximum) {
  if constexpr (std::is_floating_point_v<N>) {
    if (std::isnan(acc) || std::isnan(x)) return std::isnan(acc);
    if (acc == 0 && x == 0) return std::signbit(x) != maximum;
  }
  return maximum ? x > acc : x < acc;
}

/// Integers wrap: they are computed on as 64-bit unsigned ones and cut off.
template <class N>
N combine(Reduction reduction, N acc, N x) {
  using Wrapping = std::conditional_t<std::is_integral_v<N>, std::uint64_t, N>;
  switch (reduction) {
    case Reduction::sum:
    case Reduction::avg:
    case Reduction::preMulSum:  // of products, by then
      return static_cast<N>(static_cast<Wrapping>(acc) + static_cast<Wrapping>(x));
    case Reduction::prod:
      return static_cast<N>(static_cast<Wrapping>(acc) * static_cast<Wrapping>(x));
    case Reduction::min:
      return replaces(acc, x, false) ? x : acc;
    case Reduction::max:
      return replaces(acc, x, true) ? x : acc;
  }
  return acc;
}

template <class N>
N divide(N value, int divisor) {
  if constexpr (std::is_floating_point_v<N>)
    return value / static_cast<N>(divisor);
  else if constexpr (std::is_signed_v<N>)
    return static_cast<N>(std::int64_t{value} / divisor);
  else
    return static_cast<N>(std::uint64_t{value} / static_cast<std::uint64_t>(divisor));
}

/// Folds elements of type E in numbers of type N.
template <class E, class N>
void fold(Reduction reduction, std::span<const void* const> sources, std::size_t count, int divisor,
          void* dst) {
  for (std::size_t i = 0; i < count; ++i) {
    N acc = E::load(at<E>(sources[0], i));
    for (std::size_t j = 1; j < sources.size(); ++j)
      acc = combine<N>(reduction, acc, E::load(at<E>(sources[j], i)));
    if (divisor != 1) acc = divide(acc, divisor);
    if constexpr (std::is_floating_point_v<N>)  // as reproducible communicators do
      if (std::isnan(acc) && sources.size() > 1) acc = std::numeric_limits<N>::quiet_NaN();
    const typename E::Stored s = E::round(acc);
    std::memcpy(static_cast<std::byte*>(dst) + i * sizeof s, &s, sizeof s);
  }
}

}  // namespace

bool isFloat(DataType type) {
  return withElement(type, []<class E>(E) { return std::is_floating_point_v<typename E::Number>; });
}

double unitRoundoff(DataType type) {
  switch (type) {
    case DataType::f16:
      return 0x1p-11;
    case DataType::bf16:
      return 0x1p-8;
    case DataType::f32:
      return 0x1p-24;
    case DataType::f8e4m3:
      return 0x1p-4;
    case DataType::f8e5m2:
      return 0x1p-3;
    default:
      return 0x1p-53;
  }
}

float f16ToFloat(std::uint16_t bits) {
  return decode(kF16, bits);
}
float bf16ToFloat(std::uint16_t bits) {
  return decode(kBf16, bits);
}
std::uint16_t floatToF16(float value) {
  return encode(kF16, value);
}
std::uint16_t floatToBf16(float value) {
  return encode(kBf16, value);
}
float f8ToFloat(DataType type, std::uint8_t bits) {
  return (type == DataType::f8e4m3 ? e4m3() : e5m2()).decode(bits);
}
std::uint8_t doubleToF8(DataType type, double value) {
  return (type == DataType::f8e4m3 ? e4m3() : e5m2()).encode(value);
}

std::vector<std::byte> randomElements(DataType type, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(count * sizeOf(type));
  withElement(type, [&]<class E>(E) {
    using Stored = typename E::Stored;
    for (std::size_t i = 0; i < count; ++i) {
      Stored s;
      if constexpr (std::is_floating_point_v<typename E::Number>) {
        const double fraction = 1 + static_cast<double>(random() >> 11) * 0x1p-53;
        const int exponent = static_cast<int>(random() % 4) - 2;
        s = E::round(std::ldexp((random() & 1) != 0 ? -fraction : fraction, exponent));
      } else {
        s = static_cast<Stored>(random());
      }
      std::memcpy(bytes.data() + i * sizeof s, &s, sizeof s);
    }
  });
  return bytes;
}

void foldExactly(DataType type, Reduction reduction, std::span<const void* const> sources,
                 std::size_t count, int divisor, void* dst) {
  withElement(type, [&]<class E>(E) {
    fold<E, typename E::Number>(reduction, sources, count, divisor, dst);
  });
}

void foldInDouble(DataType type, Reduction reduction, std::span<const void* const> sources,
                  std::size_t count, int divisor, void* dst) {
  withElement(type, [&]<class E>(E) {
    using Number = typename E::Number;
    using Wide = std::conditional_t<std::is_floating_point_v<Number>, double, Number>;
    fold<E, Wide>(reduction, sources, count, divisor, dst);
  });
}

void scaleExactly(DataType type, double factor, const void* src, std::size_t count, void* dst) {
  withElement(type, [&]<class E>(E) {
    using Number = typename E::Number;
    for (std::size_t i = 0; i < count; ++i) {
      const Number number = E::load(at<E>(src, i));
      const typename E::Stored s =
          E::round(combine<Number>(Reduction::prod, number, static_cast<Number>(factor)));
      std::memcpy(static_cast<std::byte*>(dst) + i * sizeof s, &s, sizeof s);
    }
  });
}

double someFactor(DataType type, int rank) {
  const auto turn = static_cast<std::size_t>(rank) % 4;
  return withElement(type, [turn]<class E>(E) {
    using Number = typename E::Number;
    if constexpr (std::is_floating_point_v<Number>)
      return std::array{0.75, -1.3, 2.0, 1.0 / 3}[turn];
    else if constexpr (std::is_signed_v<Number>)
      return std::array{3.0, -128.0, 1.0, -7.0}[turn];
    else
      return std::array{3.0, 255.0, 1.0, 2.0}[turn];
  });
}

double elementAsDouble(DataType type, const void* elements, std::size_t index) {
  return withElement(
      type, [&]<class E>(E) { return static_cast<double>(E::load(at<E>(elements, index))); });
}

std::optional<std::size_t> firstDifference(DataType type, const void* a, const void* b,
                                           std::size_t count) {
  return withElement(type, [&]<class E>(E) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < count; ++i) {
      const auto x = at<E>(a, i);
      const auto y = at<E>(b, i);
      if (std::memcmp(&x, &y, sizeof x) == 0) continue;
      if (E::load(x) == E::load(x) || E::load(y) == E::load(y)) return i;  // not two NaNs
    }
    return std::nullopt;
  });
}

void storeElement(DataType type, double value, std::byte* at) {
  const auto put = [at](auto v) { std::memcpy(at, &v, sizeof v); };
  switch (type) {
    case DataType::f16:
      return put(floatToF16(static_cast<float>(value)));
    case DataType::bf16:
      return put(floatToBf16(static_cast<float>(value)));
    case DataType::f32:
      return put(static_cast<float>(value));
    case DataType::f64:
      return put(value);
    case DataType::i8:
      return put(static_cast<std::int8_t>(value));
    case DataType::u8:
      return put(static_cast<std::uint8_t>(value));
    case DataType::i32:
    case DataType::u32:
      return put(static_cast<std::uint32_t>(value));
    case DataType::i64:
    case DataType::u64:
      return put(static_cast<std::uint64_t>(value));
    case DataType::f8e4m3:
    case DataType::f8e5m2:
      return put(doubleToF8(type, value));
  }
}

}  // namespace lockstep::testing
