// Floats as whole numbers of a unit: sums of those do not depend on any order.
//
// A chunk of elements x with |x| < 2^E on all P ranks goes in units of 2^(E-F), F = 62 - ceil(log2
// P): each rank adds round(x / unit) + 2^F, so all sums are below 2^63. Rounding is to nearest, at
// most half a unit for each rank; the sum of these is exact and is rounded once to the type. So
//
//     |result - exact sum| <= P * 2^(E-F-1), + half a unit in the last place of the result
//
// where P * 2^(E-F-1) <= P * P * 2^-61 times the largest |x| of any rank in the chunk. What is a
// whole multiple of the unit (f32: all |x| >= 2^(E+23-F), or 2^-32 of the largest with 64 ranks) is
// not rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "cc_mode/masked/elements.hpp"

namespace lockstep::cc {

/// What exponentOf tells of a chunk that has a NaN or an infinity.
inline constexpr std::int32_t kNotFinite = std::numeric_limits<std::int32_t>::max();

/// The least E with |x| < 2^E for all `count` elements, or kNotFinite. Any alignment.
std::int32_t exponentOf(DataType type, const std::byte* in, std::size_t count);

/// As toWords and fromWords, for floats.
void toFixedPoint(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words);
void fromFixedPoint(const ChunkFormat& format, std::span<const std::uint64_t> sums, std::byte* out);

}  // namespace lockstep::cc
