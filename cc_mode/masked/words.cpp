#include "cc_mode/masked/words.hpp"

#include <cstddef>

#include "base/simd_targets.hpp"
#include "cc_mode/masked/dot_ifma.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cc_mode/masked/words.cpp"
#include <hwy/foreach_target.h>  // compiles the part below once per target
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lockstep::cc::HWY_NAMESPACE {

// Plain loops, of which the compiler makes vectors.

void add(std::span<std::uint64_t> to, std::span<const std::uint64_t> what) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += what[i];
}

void subtract(std::span<std::uint64_t> from, std::span<const std::uint64_t> what) {
  for (std::size_t i = 0; i < from.size(); ++i) from[i] -= what[i];
}

Wide dot(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3
  static const bool ifma = hasIfma();
  if (ifma && a.size() <= kMostByIfma) return dotByIfma(a, b);
#endif
  // Two sums, so that an addition need not wait for the one before it.
  Wide even = 0, odd = 0;
  std::size_t i = 0;
  for (; i + 2 <= a.size(); i += 2) {
    even += Wide{a[i]} * b[i];
    odd += Wide{a[i + 1]} * b[i + 1];
  }
  if (i < a.size()) even += Wide{a[i]} * b[i];
  return even + odd;
}

}  // namespace lockstep::cc::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lockstep::cc {

HWY_EXPORT(add);
HWY_EXPORT(subtract);
HWY_EXPORT(dot);

void addWords(std::span<std::uint64_t> to, std::span<const std::uint64_t> what) {
  HWY_DYNAMIC_DISPATCH(add)(to, what);
}

void subtractWords(std::span<std::uint64_t> from, std::span<const std::uint64_t> what) {
  HWY_DYNAMIC_DISPATCH(subtract)(from, what);
}

Wide dotProduct(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  return HWY_DYNAMIC_DISPATCH(dot)(a, b);
}

}  // namespace lockstep::cc
#endif
