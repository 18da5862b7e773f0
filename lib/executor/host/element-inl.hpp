// How elements of each type come from memory into vectors and go back. Compiled once per target,
// so it has Highway's guard in place of `#pragma once`.
//
// An element type E names the vector that lies in memory (`Wire`), what is computed on (`Value`:
// one or two vectors of lanes `D`), and the way between them (`widen`, `narrow`).
#if defined(LOCKSTEP_EXECUTOR_HOST_ELEMENT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_EXECUTOR_HOST_ELEMENT_INL
#undef LOCKSTEP_EXECUTOR_HOST_ELEMENT_INL
#else
#define LOCKSTEP_EXECUTOR_HOST_ELEMENT_INL
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

// The targets are set before Highway reads them.
// clang-format off
#include "base/simd_targets.hpp"
#include <hwy/cache_control.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Integers, f32 and f64 are computed on as they are.
template <class T>
struct Plain {
  using D = hn::ScalableTag<T>;
  using Wire = D;
  using Value = hn::Vec<D>;
  static HWY_INLINE Value widen(hn::Vec<Wire> v) { return v; }
  static HWY_INLINE hn::Vec<Wire> narrow(Value v) { return v; }
};

/// Floats of 16 and 8 bits are computed on in f32.
struct Widened {
  using D = hn::ScalableTag<float>;
  using Bits = hn::ScalableTag<std::uint32_t>;
  static HWY_INLINE hn::Vec<Bits> bits(hn::Vec<D> v) { return hn::BitCast(Bits(), v); }
  static HWY_INLINE hn::Vec<D> number(hn::Vec<Bits> v) { return hn::BitCast(D(), v); }
};

/// bf16 is the upper half of an f32: of each pair in memory the second is in place, the first a
/// shift away. So a vector becomes two, of the even and of the odd elements.
struct Brain : Widened {
  using Wire = hn::ScalableTag<std::uint16_t>;
  struct Value {
    hn::Vec<D> even, odd;
  };

  static HWY_INLINE Value widen(hn::Vec<Wire> v) {
    const auto pairs = hn::BitCast(Bits(), v);
    return {number(hn::ShiftLeft<16>(pairs)), number(hn::And(pairs, upperHalf()))};
  }
  static HWY_INLINE hn::Vec<Wire> narrow(Value v) {
    const auto even = hn::ShiftRight<16>(rounded(bits(v.even)));
    const auto odd = hn::And(rounded(bits(v.odd)), upperHalf());
    return hn::BitCast(Wire(), hn::Or(even, odd));
  }

 private:
  static HWY_INLINE hn::Vec<Bits> upperHalf() { return hn::Set(Bits(), 0xffff0000); }

  /// To nearest even: adding 0x7fff, or 0x8000 where the upper half is odd, carries into it exactly
  /// when rounding up is due. (Highway 1.0.3 truncates; vcvtneps2bf16 flushes subnormals.)
  /// A NaN stays one: its lower half is zero, since arithmetic on widened bf16 passes on the
  /// payload of an operand or makes the default NaN, so nothing carries out of it.
  static HWY_INLINE hn::Vec<Bits> rounded(hn::Vec<Bits> x) {
    const auto isOdd = hn::And(hn::ShiftRight<16>(x), hn::Set(Bits(), 1));
    return hn::Add(x, hn::Add(isOdd, hn::Set(Bits(), 0x7fff)));
  }
};

/// f16, by the CPU's own conversions where it has them; these round to nearest even.
struct Half : Widened {
  using Wire = hn::Rebind<std::uint16_t, D>;
  using Value = hn::Vec<D>;

#if HWY_TARGET != HWY_SSE4
  using Wire16 = hn::Rebind<hwy::float16_t, D>;
  static HWY_INLINE Value widen(hn::Vec<Wire> v) {
    return hn::PromoteTo(D(), hn::BitCast(Wire16(), v));
  }
  static HWY_INLINE hn::Vec<Wire> narrow(Value v) {
    return hn::BitCast(Wire(), hn::DemoteTo(Wire16(), v));
  }
#else  // no F16C, and Highway's emulation truncates and knows neither infinity nor NaN
  static HWY_INLINE Value widen(hn::Vec<Wire> v) {
    const Bits d;
    const auto x = hn::PromoteTo(d, v);
    const auto sign = hn::ShiftLeft<16>(hn::And(x, hn::Set(d, 0x8000)));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(x, hn::Set(d, 0x7fff)));
    // The f16 field read as f32 is 2^(127 - 15) too small; scaling also makes subnormals right.
    const auto scaled = bits(hn::Mul(number(magnitude), hn::Set(D(), 0x1p112f)));
    const auto isFinite = hn::Lt(magnitude, hn::Set(d, 31u << 23));
    const auto special = hn::Or(magnitude, hn::Set(d, 0x7f800000));
    return number(hn::Or(sign, hn::IfThenElse(isFinite, scaled, special)));
  }
  static HWY_INLINE hn::Vec<Wire> narrow(Value v) {
    const Bits d;
    const auto x = hn::And(bits(v), hn::Set(d, 0x7fffffff));
    const auto sign = hn::And(hn::ShiftRight<16>(bits(v)), hn::Set(d, 0x8000));
    // Normal: rebias, and round as for bf16; the carry out of 65504 makes infinity.
    const auto isOdd = hn::And(hn::ShiftRight<13>(x), hn::Set(d, 1));
    const auto bias = hn::Set(d, 0xfffu - (112u << 23));
    const auto normal = hn::ShiftRight<13>(hn::Add(x, hn::Add(isOdd, bias)));
    // Below 2^-14: 0.5 has f16's smallest subnormal, 2^-24, as its last place, so the FPU rounds.
    const auto half = hn::Set(D(), 0.5f);
    const auto subnormal = hn::Sub(bits(hn::Add(number(x), half)), bits(half));
    const auto finite = hn::IfThenElse(hn::Lt(x, hn::Set(d, 113u << 23)), subnormal, normal);
    const auto isNan = hn::Gt(x, hn::Set(d, 0x7f800000));
    const auto special = hn::IfThenElse(isNan, hn::Set(d, 0x7e00), hn::Set(d, 0x7c00));
    const auto isSpecial = hn::Gt(x, hn::Set(d, 0x477fffff));  // 2^16 and more, infinity, NaN
    const auto all = hn::Or(sign, hn::IfThenElse(isSpecial, special, finite));
    return hn::DemoteTo(Wire(), hn::BitCast(hn::RebindToSigned<D>(), all));
  }
#endif
};

/// E4M3: 448 is the largest, 2^-6 the smallest normal. What would be infinity is a number, and only
/// what would be the largest is a NaN.
struct E4M3 {
  static constexpr int kFractionBits = 3;
  static constexpr int kLeastExponent = -6;
  static constexpr float kLargest = 448;
};
/// E5M2: the upper half of an f16.
struct E5M2 {
  static constexpr int kFractionBits = 2;
  static constexpr int kLeastExponent = -14;
  static constexpr float kLargest = 57344;
};

/// 8-bit floats. Every one is an f16, but for the bias of the exponent.
template <class Format>
struct Quarter : Widened {
  using Wire = hn::Rebind<std::uint8_t, D>;
  using Value = hn::Vec<D>;

  static HWY_INLINE Value widen(hn::Vec<Wire> v) {
    const Half::Wire d;
    const auto x = hn::PromoteTo(d, v);
    if constexpr (Format::kLeastExponent == kHalfLeast) {
      return Half::widen(hn::ShiftLeft<8>(x));
    } else {
      const auto sign = hn::ShiftLeft<8>(hn::And(x, hn::Set(d, 0x80)));
      const auto fields = hn::ShiftLeft<kToHalf>(hn::And(x, hn::Set(d, 0x7f)));
      const auto scale = hn::Set(D(), kScale);
      const auto number = hn::Mul(Half::widen(hn::Or(sign, fields)), scale);
      const auto isNan = hn::Gt(hn::Abs(number), hn::Set(D(), Format::kLargest));
      return hn::IfThenElse(isNan, hn::NaN(D()), number);
    }
  }

  /// The FPU rounds, to nearest even: added to 2^23 last places, a number becomes a count of these.
  /// What the exponent is above the least is added to its field; a carry does the right thing.
  static HWY_INLINE hn::Vec<Wire> narrow(Value v) {
    const Bits d;
    const auto sign = hn::And(hn::ShiftRight<24>(bits(v)), hn::Set(d, 0x80));
    const auto largest = bits(hn::Set(D(), Format::kLargest));
    const auto x = hn::Min(hn::And(bits(v), hn::Set(d, 0x7fffffff)), largest);
    const auto least = hn::Set(d, std::uint32_t{127 + Format::kLeastExponent} << 23);
    const auto exponent = hn::Max(hn::And(x, hn::Set(d, 0x7f800000)), least);
    const auto places = hn::Add(exponent, hn::Set(d, std::uint32_t{kDropped} << 23));
    const auto count = hn::Sub(bits(hn::Add(number(x), number(places))), places);
    const auto finite = hn::Add(count, hn::ShiftRight<kDropped>(hn::Sub(exponent, least)));
    const auto isNan = hn::RebindMask(d, hn::IsNaN(v));
    const auto all = hn::Or(sign, hn::IfThenElse(isNan, hn::Set(d, 0x7f), finite));
    return hn::DemoteTo(Wire(), hn::BitCast(hn::RebindToSigned<D>(), all));
  }

 private:
  static constexpr int kHalfLeast = -14;
  static constexpr int kToHalf = 10 - Format::kFractionBits;
  static constexpr int kDropped = 23 - Format::kFractionBits;
  /// From where f16's bias would put it.
  static constexpr float kScale = 1 << (Format::kLeastExponent - kHalfLeast);
};

template <class E>
using Value = typename E::Value;
/// The bytes of one `Wire` vector, as a vector of bytes: memory is addressed by these alone, so no
/// alignment is needed.
template <class E>
using WireBytes = hn::Repartition<std::uint8_t, typename E::Wire>;
/// Bytes of memory of one vector, and of one element.
template <class E>
inline constexpr std::size_t kVectorBytes = hn::MaxLanes(WireBytes<E>());
template <class E>
inline constexpr std::size_t kElementBytes = sizeof(hn::TFromD<typename E::Wire>);

template <class E>
HWY_INLINE Value<E> fromBytes(hn::Vec<WireBytes<E>> v) {
  return E::widen(hn::BitCast(typename E::Wire(), v));
}

template <class E>
HWY_INLINE hn::Vec<WireBytes<E>> toBytes(Value<E> v) {
  return hn::BitCast(WireBytes<E>(), E::narrow(v));
}

template <class E>
HWY_INLINE Value<E> load(const std::uint8_t* p) {
  return fromBytes<E>(hn::LoadU(WireBytes<E>(), p));
}

template <class E>
HWY_INLINE void store(Value<E> v, std::uint8_t* p) {
  hn::StoreU(toBytes<E>(v), WireBytes<E>(), p);
}

/// Past the cache. `p` is aligned to kVectorBytes<E>.
template <class E>
HWY_INLINE void stream(Value<E> v, std::uint8_t* p) {
  if constexpr (kVectorBytes<E> < 16)
    store<E>(v, p);  // Highway would write 16 bytes
  else
    hn::Stream(toBytes<E>(v), WireBytes<E>(), p);
}

// Less than one vector, `bytes` of it; the other lanes are zero, and their memory is not touched.
// Only AVX-512 masks bytes; elsewhere they go through a buffer.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
template <class E>
HWY_INLINE Value<E> loadPartial(const std::uint8_t* p, std::size_t bytes) {
  const WireBytes<E> d;
  return fromBytes<E>(hn::MaskedLoad(hn::FirstN(d, bytes), d, p));
}

template <class E>
HWY_INLINE void storePartial(Value<E> v, std::uint8_t* p, std::size_t bytes) {
  const WireBytes<E> d;
  hn::BlendedStore(toBytes<E>(v), hn::FirstN(d, bytes), d, p);
}
#else
template <class E>
HWY_INLINE Value<E> loadPartial(const std::uint8_t* p, std::size_t bytes) {
  alignas(64) std::uint8_t buffer[kVectorBytes<E>] = {};
  std::memcpy(buffer, p, bytes);
  return load<E>(buffer);
}

template <class E>
HWY_INLINE void storePartial(Value<E> v, std::uint8_t* p, std::size_t bytes) {
  alignas(64) std::uint8_t buffer[kVectorBytes<E>];
  store<E>(v, buffer);
  std::memcpy(p, buffer, bytes);
}
#endif

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
