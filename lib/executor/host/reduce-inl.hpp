// The kernel of reductions: sources folded into one vector after the other, and written. How two
// elements become one is a template argument, a type with
//   template <class D, class V> static V fold(D, V acc, V x);
//   static constexpr bool kDivides;  // and if so: V divide(D, V, int divisor), by the world size
// Each fold is compiled in a source of its own (reduce_sum.cpp ..): together they take minutes.
// Compiled once per target, so it has Highway's guard in place of `#pragma once`.
#if defined(LOCKSTEP_EXECUTOR_HOST_REDUCE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef LOCKSTEP_EXECUTOR_HOST_REDUCE_INL
#undef LOCKSTEP_EXECUTOR_HOST_REDUCE_INL
#else
#define LOCKSTEP_EXECUTOR_HOST_REDUCE_INL
#endif

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "executor/host/copy.hpp"
#include "executor/host/element-inl.hpp"
#include "executor/host/reduce.hpp"

HWY_BEFORE_NAMESPACE();
namespace lockstep::host::HWY_NAMESPACE {

/// On what an element type computes on: one vector or two.
template <class Fold, class D>
HWY_INLINE hn::Vec<D> foldValue(D d, hn::Vec<D> acc, hn::Vec<D> x) {
  return Fold::fold(d, acc, x);
}
template <class Fold, class D>
HWY_INLINE Brain::Value foldValue(D d, Brain::Value acc, Brain::Value x) {
  return {Fold::fold(d, acc.even, x.even), Fold::fold(d, acc.odd, x.odd)};
}

template <class Fold, class D>
HWY_INLINE hn::Vec<D> divideValue(D d, hn::Vec<D> v, int divisor) {
  return Fold::divide(d, v, divisor);
}
template <class Fold, class D>
HWY_INLINE Brain::Value divideValue(D d, Brain::Value v, int divisor) {
  return {Fold::divide(d, v.even, divisor), Fold::divide(d, v.odd, divisor)};
}

/// One NaN for all. Which operand's payload an addition of two passes on depends on the CPU, and on
/// how the compiler ordered them in each of the loops below.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> oneNan(D d, hn::Vec<D> v) {
  if constexpr (std::is_integral_v<T>)
    return v;
  else
    return hn::IfThenElse(hn::IsNaN(v), hn::Set(d, std::numeric_limits<T>::quiet_NaN()), v);
}
template <class D>
HWY_INLINE Brain::Value oneNan(D d, Brain::Value v) {
  return {oneNan(d, v.even), oneNan(d, v.odd)};
}

// ---- Operands: where sources and destinations are.

HWY_INLINE const std::uint8_t* bytes(const void* p) {
  return static_cast<const std::uint8_t*>(p);
}
HWY_INLINE std::uint8_t* bytes(void* p) {
  return static_cast<std::uint8_t*>(p);
}

/// Any number of them.
class Listed {
 public:
  explicit HWY_INLINE Listed(const ReduceArguments& a) : a_(a) {}
  HWY_INLINE int sources() const { return a_.srcs; }
  HWY_INLINE int destinations() const { return a_.dsts; }
  HWY_INLINE const std::uint8_t* source(int j) const { return bytes(a_.src[j]); }
  HWY_INLINE std::uint8_t* destination(int j) const { return bytes(a_.dst[j]); }

 private:
  const ReduceArguments& a_;
};

/// As many as the compiler knows: it keeps the pointers in registers and unrolls.
template <int kSources, int kDestinations>
class Fixed {
 public:
  explicit HWY_INLINE Fixed(const ReduceArguments& a) {
    for (int j = 0; j < kSources; ++j) src_[j] = bytes(a.src[j]);
    for (int j = 0; j < kDestinations; ++j) dst_[j] = bytes(a.dst[j]);
  }
  static constexpr int sources() { return kSources; }
  static constexpr int destinations() { return kDestinations; }
  HWY_INLINE const std::uint8_t* source(int j) const { return src_[j]; }
  HWY_INLINE std::uint8_t* destination(int j) const { return dst_[j]; }

 private:
  const std::uint8_t* src_[kSources];
  std::uint8_t* dst_[kDestinations];
};

// ---- The kernel.

/// What is done to `count` elements of type E in the operands. kFinishes: a division or oneNan
/// follows the folds; apart, since a test for it in the loop costs some types a third.
template <class E, class Fold, class Operands, bool kFinishes>
class Kernel {
 public:
  HWY_INLINE Kernel(Operands operands, std::size_t count, int divisor)
      : operands_(operands), count_(count), divisor_(divisor) {}

  HWY_INLINE void run() const { body<false>(0); }

  /// Aligns the first destination. The others are streamed to where they are aligned as well.
  void runStreaming() const {
    const auto address = reinterpret_cast<std::uintptr_t>(operands_.destination(0));
    const std::size_t head = -address % kVectorBytes<E>;
    if (head % kElement != 0 || head / kElement >= count_) return run();
    if (head != 0) partial(0, head);
    body<true>(head);
    hwy::FlushStream();
  }

 private:
  using V = Value<E>;
  using D = typename E::D;
  static constexpr std::size_t kVector = kVectorBytes<E>;
  static constexpr std::size_t kElement = kElementBytes<E>;

  /// From `offset`, in bytes, to the end.
  template <bool kStream>
  HWY_INLINE void body(std::size_t offset) const {
    const std::size_t end = count_ * kElement;
    for (; end - offset >= 4 * kVector; offset += 4 * kVector) four<kStream>(offset);
    for (; end - offset >= kVector; offset += kVector) one(offset);
    if (offset != end) partial(offset, end - offset);
  }

  /// Four vectors at a time hide the latency of the folds.
  template <bool kStream>
  HWY_INLINE void four(std::size_t offset) const {
    const std::uint8_t* s = operands_.source(0) + offset;
    V a = load<E>(s);
    V b = load<E>(s + kVector);
    V c = load<E>(s + 2 * kVector);
    V d = load<E>(s + 3 * kVector);
    for (int j = 1; j < operands_.sources(); ++j) {
      s = operands_.source(j) + offset;
      a = fold(a, load<E>(s));
      b = fold(b, load<E>(s + kVector));
      c = fold(c, load<E>(s + 2 * kVector));
      d = fold(d, load<E>(s + 3 * kVector));
    }
    a = finish(a);
    b = finish(b);
    c = finish(c);
    d = finish(d);
    for (int j = 0; j < operands_.destinations(); ++j) {
      std::uint8_t* p = operands_.destination(j) + offset;
      if (kStream && reinterpret_cast<std::uintptr_t>(p) % kVector == 0) {
        stream<E>(a, p);
        stream<E>(b, p + kVector);
        stream<E>(c, p + 2 * kVector);
        stream<E>(d, p + 3 * kVector);
      } else {
        store<E>(a, p);
        store<E>(b, p + kVector);
        store<E>(c, p + 2 * kVector);
        store<E>(d, p + 3 * kVector);
      }
    }
  }

  HWY_INLINE void one(std::size_t offset) const {
    V v = load<E>(operands_.source(0) + offset);
    for (int j = 1; j < operands_.sources(); ++j)
      v = fold(v, load<E>(operands_.source(j) + offset));
    v = finish(v);
    for (int j = 0; j < operands_.destinations(); ++j)
      store<E>(v, operands_.destination(j) + offset);
  }

  HWY_INLINE void partial(std::size_t offset, std::size_t n) const {
    V v = loadPartial<E>(operands_.source(0) + offset, n);
    for (int j = 1; j < operands_.sources(); ++j)
      v = fold(v, loadPartial<E>(operands_.source(j) + offset, n));
    v = finish(v);
    for (int j = 0; j < operands_.destinations(); ++j)
      storePartial<E>(v, operands_.destination(j) + offset, n);
  }

  static HWY_INLINE V fold(V acc, V x) { return foldValue<Fold>(D(), acc, x); }

  HWY_INLINE V finish(V v) const {
    if constexpr (!kFinishes) return v;
    if constexpr (Fold::kDivides)
      if (divisor_ != 1) v = divideValue<Fold>(D(), v, divisor_);
    return oneNan(D(), v);
  }

  Operands operands_;
  std::size_t count_;
  int divisor_;
};

template <bool kFinishes, class E, class Fold, class Operands>
HWY_INLINE void runKernelThat(const ReduceArguments& a) {
  const Kernel<E, Fold, Operands, kFinishes> kernel(Operands(a), a.count, a.divisor);
  if (a.streaming)
    kernel.runStreaming();
  else
    kernel.run();
}

template <class E, class Fold, class Operands>
HWY_INLINE void runKernel(const ReduceArguments& a) {
  constexpr bool kFloats = std::is_floating_point_v<hn::TFromD<typename E::D>>;
  if constexpr (Fold::kDivides || kFloats)
    if (a.divisor != 1 || (kFloats && a.oneNan)) return runKernelThat<true, E, Fold, Operands>(a);
  runKernelThat<false, E, Fold, Operands>(a);
}

/// One source: bytes, whatever their type and fold.
template <class Fold>
HWY_NOINLINE void copy(const ReduceArguments& a, std::size_t elementBytes) {
  if (a.dsts == 1) {
    if (a.dst[0] != a.src[0]) copyBytes(a.dst[0], a.src[0], a.count * elementBytes, a.streaming);
    return;
  }
  ReduceArguments asBytes = a;
  asBytes.count *= elementBytes;
  runKernel<Plain<std::uint8_t>, Fold, Listed>(asBytes);
}

template <class E, class Fold>
void reduce(const ReduceArguments& a) {
  if (a.srcs == 2 && a.dsts == 1)
    runKernel<E, Fold, Fixed<2, 1>>(a);
  else if (a.srcs == 1 && (!Fold::kDivides || a.divisor == 1))
    copy<Fold>(a, kElementBytes<E>);
  else
    runKernel<E, Fold, Listed>(a);
}

// ---- The table.

template <class Fold>
ReduceFunction kernelOf(DataType type) {
  // In the order of DataType.
  static constexpr std::array<ReduceFunction, kDataTypes> kernels{
      reduce<Half, Fold>,
      reduce<Brain, Fold>,
      reduce<Plain<float>, Fold>,
      reduce<Plain<double>, Fold>,
      reduce<Plain<std::int8_t>, Fold>,
      reduce<Plain<std::uint8_t>, Fold>,
      reduce<Plain<std::int32_t>, Fold>,
      reduce<Plain<std::uint32_t>, Fold>,
      reduce<Plain<std::int64_t>, Fold>,
      reduce<Plain<std::uint64_t>, Fold>,
      reduce<Quarter<E4M3>, Fold>,
      reduce<Quarter<E5M2>, Fold>};
  return kernels[static_cast<std::size_t>(type)];
}

}  // namespace lockstep::host::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
