#include "base/simd_targets.hpp"
#include "executor/host/reduce_folds.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/reduce_maximum.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/reduce-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

/// As Minimum (reduce_minimum.cpp), but +0 above -0.
struct Maximum {
  static constexpr bool kDivides = false;

  template <class D, class V, class T = hn::TFromD<D>>
  static HWY_INLINE V fold(D, V acc, V x) {
    if constexpr (std::is_integral_v<T>) {
      return hn::Max(acc, x);
    } else {
      const auto take = hn::Or(hn::Gt(x, acc), hn::IsNaN(acc));
      return hn::IfThenElse(hn::Eq(x, acc), hn::And(x, acc), hn::IfThenElse(take, x, acc));
    }
  }
};

ReduceFunction maximumOf(DataType type) {
  return kernelOf<Maximum>(type);
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {

HWY_EXPORT(maximumOf);

ReduceFunction maximumFunction(DataType type) {
  return HWY_DYNAMIC_DISPATCH(maximumOf)(type);
}

}  // namespace lockstep::host
#endif
