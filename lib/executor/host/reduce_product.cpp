#include "base/simd_targets.hpp"
#include "executor/host/reduce_folds.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "executor/host/reduce_product.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target

#include "executor/host/multiply-inl.hpp"
#include "executor/host/reduce-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

struct Product {
  static constexpr bool kDivides = false;

  template <class D, class V>
  static HWY_INLINE V fold(D d, V acc, V x) {
    return multiply(d, acc, x);
  }
};

ReduceFunction productOf(DataType type) {
  return kernelOf<Product>(type);
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::host {

HWY_EXPORT(productOf);

ReduceFunction productFunction(DataType type) {
  return HWY_DYNAMIC_DISPATCH(productOf)(type);
}

}  // namespace lockstep::host
#endif
