// dotProduct by AVX-512's multiplier of 52 bits (IFMA), which no Highway target includes.
#pragma once

#include <cstddef>

#include "cc_mode/masked/words.hpp"

namespace lockstep::cc {

/// This CPU has it.
bool hasIfma();

/// More words might overflow.
inline constexpr std::size_t kMostByIfma = 1024;
/// As dotProduct, of at most kMostByIfma words. To be called only where hasIfma().
Wide dotByIfma(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b);

}  // namespace lockstep::cc
