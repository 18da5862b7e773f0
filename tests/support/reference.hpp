// What a reduction must yield, in plain loops over single elements: the yardstick of every test
// that reduces. It shares nothing with the library's kernels but the rules in lockstep/types.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <lockstep/types.hpp>

namespace lockstep::testing {

bool isFloat(DataType type);
/// Half a unit in the last place of 1, of a float.
double unitRoundoff(DataType type);

/// Conversions of the 16-bit floats. Rounding is to nearest even; overflow makes infinity.
float f16ToFloat(std::uint16_t bits);
float bf16ToFloat(std::uint16_t bits);
std::uint16_t floatToF16(float value);
std::uint16_t floatToBf16(float value);

/// Conversions of an 8-bit float. Rounding is to nearest even; what is too large, infinity too,
/// makes the largest finite value.
float f8ToFloat(DataType type, std::uint8_t bits);
std::uint8_t doubleToF8(DataType type, double value);

/// `count` elements of random finite values, the same for the same seed. Integers use all bits;
/// floats are a few binades around 1, of either sign, so that sums round and products of 64 of them
/// mostly stay finite.
std::vector<std::byte> randomElements(DataType type, std::size_t count, std::uint64_t seed);

/// Folds the sources in the order given, as a rank-ordered all-reduce must, bit for bit: floats of
/// 16 and 8 bits in f32, the others in their own type; divides by `divisor` (sum and avg; 1 for
/// neither); rounds once. Each source and `dst` is `count` elements, of any alignment.
void foldExactly(DataType type, Reduction reduction, std::span<const void* const> sources,
                 std::size_t count, int divisor, void* dst);

/// The same in any order, near enough: floats are accumulated in f64 and rounded once, integers as
/// in foldExactly (their order does not matter). Compare with a tolerance.
void foldInDouble(DataType type, Reduction reduction, std::span<const void* const> sources,
                  std::size_t count, int divisor, void* dst);

/// What a rank adds to a premultiplied sum: each element times `factor`, computed in what the type
/// is folded in and rounded once. The same alignment, and `dst` may be `src`.
void scaleExactly(DataType type, double factor, const void* src, std::size_t count, void* dst);

/// A factor for rank `rank`: of floats one that rounds, of integers one that they hold.
double someFactor(DataType type, int rank);

/// Element `index` as a double (64-bit integers lose their low bits).
double elementAsDouble(DataType type, const void* elements, std::size_t index);

/// Writes `value`, which the type holds, as one element. No alignment is asked for.
void storeElement(DataType type, double value, std::byte* at);

/// The first index at which the bits differ, if any. A NaN equals every other NaN.
std::optional<std::size_t> firstDifference(DataType type, const void* a, const void* b,
                                           std::size_t count);

}  // namespace lockstep::testing
