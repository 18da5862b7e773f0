// Integers as words: those of up to 32 bits, to which what may be negative has a bias added, and
// the halves of those of 64 bits.
#pragma once

#include "cc_mode/masked/elements.hpp"

namespace lockstep::cc {

/// As toWords and fromWords, for integers.
void integersToWords(const ChunkFormat& format, const std::byte* in,
                     std::span<std::uint64_t> words);
void integersFromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums,
                       std::byte* out);

}  // namespace lockstep::cc
