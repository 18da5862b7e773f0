#include "base/simd_targets.hpp"
#include "executor/host/reduce_folds.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/reduce_sum.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/multiply-inl.hpp"
#include "executor/host/reduce-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

struct Sum {
  static constexpr bool kDivides = true;

  template <class D, class V>
  static HWY_INLINE V fold(D d, V acc, V x) {
    return hn::BitCast(d, hn::Add(wrapping(d, acc), wrapping(d, x)));
  }

  /// No SIMD divides integers; an average of them is rare, so it goes one lane at a time.
  template <class D, class V, class T = hn::TFromD<D>>
  static HWY_INLINE V divide(D d, V v, int divisor) {
    if constexpr (std::is_integral_v<T>) {
      using Wide = std::common_type_t<T, int>;  // holds any divisor: i8 has none above 127
      alignas(64) T lanes[hn::MaxLanes(d)];
      hn::Store(v, d, lanes);
      for (T& lane : lanes) lane = static_cast<T>(lane / static_cast<Wide>(divisor));
      return hn::Load(d, lanes);
    } else {
      return hn::Div(v, hn::Set(d, static_cast<T>(divisor)));
    }
  }
};

ReduceFunction sumOf(DataType type) {
  return kernelOf<Sum>(type);
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {

HWY_EXPORT(sumOf);

ReduceFunction sumFunction(DataType type) {
  return HWY_DYNAMIC_DISPATCH(sumOf)(type);
}

}  // namespace lockstep::host
#endif
