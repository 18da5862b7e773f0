// Inputs whose reduction is exact whatever the order, so that a result is right to the bit or
// wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/number.hpp"
#include <lockstep/types.hpp>

namespace lockstep::bench {

/// Inputs repeat after this many elements. Prime, so that no chunk, tile or slot is a multiple of
/// it and data that lands in the wrong place is seen.
inline constexpr std::size_t kPatternPeriod = 65521;

/// The factor that a rank gives to a premultiplied sum: exact in every type, and another than that
/// of the ranks beside it.
constexpr double factorOf(int rank) {
  return rank % 2 == 0 ? 2 : 4;
}

/// The element `index` that rank `rank` contributes, as the bits of `type` in the low bits.
///   sum:       integers any bits (they wrap); floats whole numbers small enough that every partial
///              sum of any subset of the ranks is exact. Where the type has fewer whole numbers
///              than there are ranks, as those of 8 bits may, only some ranks have more than 0
///   premulsum: as for sum, floats divided by the rank's factor
///   avg:       floats as for sum; integers whose sum is a multiple of the world size and does not
///              wrap
///   prod:      integers odd (so that no product vanishes); floats +-1 but for two ranks with 3 and
///              4, and all of that in 3 bits
///   min, max:  integers any bits; floats any whole number that the type has exactly
std::uint64_t inputBits(DataType type, Reduction reduction, int worldSize, int rank,
                        std::size_t index);

/// What of that is reduced: of a premultiplied sum, the product with the rank's factor.
Number addend(DataType type, Reduction reduction, int worldSize, int rank, std::size_t index);

/// The reduction of all ranks' element `index`, computed independently of the library.
std::uint64_t expectedBits(DataType type, Reduction reduction, int worldSize, std::size_t index);

struct WrongElement {
  std::size_t index = 0;
  std::uint64_t expected = 0, got = 0;  ///< bits
};

struct CheckResult {
  std::uint64_t wrong = 0;  ///< elements
  std::optional<WrongElement> first;
};

/// A period of elements, made once, and buffers that hold it over and over.
class Pattern {
 public:
  /// What one rank contributes.
  static Pattern input(DataType type, Reduction reduction, int worldSize, int rank);
  /// What the contributions of all ranks reduce to.
  static Pattern reduced(DataType type, Reduction reduction, int worldSize);

  /// Writes `count` elements, from the pattern's element `start` on.
  void fill(void* buffer, std::size_t count, std::size_t start = 0) const;
  /// Compares `count` elements with the pattern's from `start` on.
  CheckResult check(const void* result, std::size_t count, std::size_t start = 0) const;

 private:
  template <class BitsOf>
  Pattern(DataType type, BitsOf bitsOf);

  DataType type_;
  std::vector<std::byte> period_;
};

/// "rank 1, element 17: expected 12 (0x41400000), got 13 (0x41500000), differing bits 0x00100000"
std::string describe(const WrongElement& element, DataType type, int rank);

}  // namespace lockstep::bench
