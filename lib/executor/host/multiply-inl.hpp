// Products of vectors, of every type that is computed on. Compiled once per target, so it has
// Highway's guard in place of `#pragma once`.
#if defined(LOCKSTEP_EXECUTOR_HOST_MULTIPLY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_EXECUTOR_HOST_MULTIPLY_INL
#undef LOCKSTEP_EXECUTOR_HOST_MULTIPLY_INL
#else
#define LOCKSTEP_EXECUTOR_HOST_MULTIPLY_INL
#endif

#include <cstdint>
#include <type_traits>

#include "executor/host/element-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

/// Integers are added and multiplied as unsigned ones, whose overflow is defined to wrap.
template <class D, class V, class T = hn::TFromD<D>>
HWY_INLINE auto wrapping(D d, V v) {
  if constexpr (std::is_integral_v<T>)
    return hn::BitCast(hn::RebindToUnsigned<D>(), v);
  else
    return hn::BitCast(d, v);
}

/// No SIMD multiplies bytes: the low byte of a 16-bit product, and of the product of the high
/// bytes, which is left where it belongs by shifting one factor only.
template <class V>
HWY_INLINE V multiplyBytes(V a, V b) {
  const hn::DFromV<V> d;
  const hn::Repartition<std::uint16_t, hn::DFromV<V>> d16;
  const auto low = hn::Set(d16, 0x00ff);
  const auto a16 = hn::BitCast(d16, a);
  const auto b16 = hn::BitCast(d16, b);
  const auto even = hn::And(hn::Mul(a16, b16), low);
  const auto odd = hn::Mul(hn::ShiftRight<8>(a16), hn::AndNot(low, b16));
  return hn::BitCast(d, hn::Or(even, odd));
}

template <class D, class V, class T = hn::TFromD<D>>
HWY_INLINE V multiply(D d, V a, V b) {
  if constexpr (sizeof(T) == 1)
    return hn::BitCast(d, multiplyBytes(wrapping(d, a), wrapping(d, b)));
  else
    return hn::BitCast(d, hn::Mul(wrapping(d, a), wrapping(d, b)));
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
