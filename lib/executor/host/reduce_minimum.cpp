#include "base/simd_targets.hpp"
#include "executor/host/reduce_folds.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/reduce_minimum.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/reduce-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

/// Of floats, the number when one is a NaN, and -0 below +0 (IEEE 754-2019 minimumNumber), so that
/// the order of the sources never shows. Instruction sets differ in both, hence no hn::Min there.
struct Minimum {
  static constexpr bool kDivides = false;

  template <class D, class V, class T = hn::TFromD<D>>
  static HWY_INLINE V fold(D, V acc, V x) {
    if constexpr (std::is_integral_v<T>) {
      return hn::Min(acc, x);
    } else {
      const auto take = hn::Or(hn::Lt(x, acc), hn::IsNaN(acc));
      // Equal ones have equal bits, but for the sign of zero.
      return hn::IfThenElse(hn::Eq(x, acc), hn::Or(x, acc), hn::IfThenElse(take, x, acc));
    }
  }
};

ReduceFunction minimumOf(DataType type) {
  return kernelOf<Minimum>(type);
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {

HWY_EXPORT(minimumOf);

ReduceFunction minimumFunction(DataType type) {
  return HWY_DYNAMIC_DISPATCH(minimumOf)(type);
}

}  // namespace lockstep::host
#endif
