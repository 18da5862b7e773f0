#include "executor/host/scale.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/scale.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/element-inl.hpp"
#include "executor/host/multiply-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

using ScaleFunction = void (*)(const std::uint8_t*, std::uint8_t*, std::size_t, double);

/// The number that lanes are multiplied by. Of NaNs the default one, whose lower bits are zero:
/// rounding to bf16 counts on that (Brain).
template <class T>
T factorOf(double factor) {
  if constexpr (std::is_floating_point_v<T>)
    if (std::isnan(factor)) return std::numeric_limits<T>::quiet_NaN();
  return static_cast<T>(factor);
}

/// On what an element type computes on: one vector or two.
template <class D>
HWY_INLINE hn::Vec<D> scaled(D d, hn::Vec<D> v, hn::Vec<D> factor) {
  return multiply(d, v, factor);
}
template <class D>
HWY_INLINE Brain::Value scaled(D d, Brain::Value v, hn::Vec<D> factor) {
  return {multiply(d, v.even, factor), multiply(d, v.odd, factor)};
}

template <class E>
void scaleAll(const std::uint8_t* src, std::uint8_t* dst, std::size_t count, double factor) {
  using D = typename E::D;
  constexpr std::size_t vector = kVectorBytes<E>;
  const auto f = hn::Set(D(), factorOf<hn::TFromD<D>>(factor));
  const std::size_t end = count * kElementBytes<E>;
  std::size_t at = 0;
  for (; end - at >= vector; at += vector) store<E>(scaled(D(), load<E>(src + at), f), dst + at);
  if (const std::size_t rest = end - at; rest != 0)
    storePartial<E>(scaled(D(), loadPartial<E>(src + at, rest), f), dst + at, rest);
}

ScaleFunction scalerOf(DataType type) {
  // In the order of DataType.
  static constexpr std::array<ScaleFunction, kDataTypes> scalers{scaleAll<Half>,
                                                                 scaleAll<Brain>,
                                                                 scaleAll<Plain<float>>,
                                                                 scaleAll<Plain<double>>,
                                                                 scaleAll<Plain<std::int8_t>>,
                                                                 scaleAll<Plain<std::uint8_t>>,
                                                                 scaleAll<Plain<std::int32_t>>,
                                                                 scaleAll<Plain<std::uint32_t>>,
                                                                 scaleAll<Plain<std::int64_t>>,
                                                                 scaleAll<Plain<std::uint64_t>>,
                                                                 scaleAll<Quarter<E4M3>>,
                                                                 scaleAll<Quarter<E5M2>>};
  return scalers[static_cast<std::size_t>(type)];
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {
namespace {

HWY_EXPORT(scalerOf);

/// Both ends are powers of two, so a double has them: [least, end).
template <class T>
bool holds(double factor) {
  using Limits = std::numeric_limits<T>;
  const double end = std::ldexp(1.0, Limits::digits);
  const double least = Limits::is_signed ? -end : 0.0;
  return factor >= least && factor < end && std::trunc(factor) == factor;
}

}  // namespace

bool canScale(DataType type, double factor) {
  switch (type) {
    case DataType::i8:
      return holds<std::int8_t>(factor);
    case DataType::u8:
      return holds<std::uint8_t>(factor);
    case DataType::i32:
      return holds<std::int32_t>(factor);
    case DataType::u32:
      return holds<std::uint32_t>(factor);
    case DataType::i64:
      return holds<std::int64_t>(factor);
    case DataType::u64:
      return holds<std::uint64_t>(factor);
    default:
      return true;
  }
}

void scale(DataType type, const void* src, void* dst, std::size_t count, double factor) {
  HWY_DYNAMIC_DISPATCH(scalerOf)
  (type)(static_cast<const std::uint8_t*>(src), static_cast<std::uint8_t*>(dst), count, factor);
}

}  // namespace lockstep::host
#endif
