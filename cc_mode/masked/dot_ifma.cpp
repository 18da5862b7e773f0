#include "cc_mode/masked/dot_ifma.hpp"

#if defined(__x86_64__)

#include <cstring>

#include <immintrin.h>

namespace lockstep::cc {

bool hasIfma() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}

namespace {

#define LOCKSTEP_IFMA __attribute__((target("avx512f,avx512ifma")))

// The compiler's own vectors: g++ 12 warns of intel's intrinsics for all but the product.
constexpr std::size_t kLanes = 8;
typedef std::uint64_t Lanes __attribute__((vector_size(kLanes * sizeof(std::uint64_t))));

LOCKSTEP_IFMA inline Lanes addLower(Lanes to, Lanes a, Lanes b) {
  return (Lanes)_mm512_madd52lo_epu64((__m512i)to, (__m512i)a, (__m512i)b);
}
LOCKSTEP_IFMA inline Lanes addUpper(Lanes to, Lanes a, Lanes b) {
  return (Lanes)_mm512_madd52hi_epu64((__m512i)to, (__m512i)a, (__m512i)b);
}

LOCKSTEP_IFMA inline Lanes lanesAt(const std::uint64_t* words) {
  Lanes lanes;
  std::memcpy(&lanes, words, sizeof lanes);
  return lanes;
}

LOCKSTEP_IFMA inline Wide total(Lanes lanes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

constexpr int kLimb = 52;

/// The multiplier takes the lower 52 bits of its operands, and adds the lower or the upper 52 bits
/// of the product. So a word is two limbs, of 52 and of 12 bits, and a product is three: they are
/// summed up apart, at 2^0, 2^52 and 2^104, in words that have room for 2^12 of them. (What begins
/// at 2^156 is no part of a number modulo 2^128.) More sums than places, so that an addition need
/// not wait for the one before it.
struct Sums {
  Lanes low{}, middle[3]{}, high[3]{};
};

LOCKSTEP_IFMA inline void addProducts(Sums& sums, const Lanes& a, const Lanes& b) {
  const Lanes a1 = a >> kLimb, b1 = b >> kLimb;
  sums.low = addLower(sums.low, a, b);
  sums.middle[0] = addUpper(sums.middle[0], a, b);
  sums.middle[1] = addLower(sums.middle[1], a, b1);
  sums.middle[2] = addLower(sums.middle[2], a1, b);
  sums.high[0] = addUpper(sums.high[0], a, b1);
  sums.high[1] = addUpper(sums.high[1], a1, b);
  sums.high[2] = addLower(sums.high[2], a1, b1);
}

}  // namespace

LOCKSTEP_IFMA Wide dotByIfma(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  Sums sums;
  std::size_t i = 0;
  for (; i + kLanes <= a.size(); i += kLanes) addProducts(sums, lanesAt(&a[i]), lanesAt(&b[i]));
  Wide rest = 0;  // one by one: part of a vector would be put together on the stack, and left there
  for (; i < a.size(); ++i) rest += Wide{a[i]} * b[i];
  return rest + total(sums.low) +
         (total(sums.middle[0] + sums.middle[1] + sums.middle[2]) << kLimb) +
         (total(sums.high[0] + sums.high[1] + sums.high[2]) << (2 * kLimb));
}

}  // namespace lockstep::cc

#else

namespace lockstep::cc {
bool hasIfma() {
  return false;
}
}  // namespace lockstep::cc

#endif
