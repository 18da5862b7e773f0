// Arithmetic of words, many at a time.
#pragma once

#include <cstdint>
#include <span>

namespace lockstep::cc {

__extension__ typedef unsigned __int128 Wide;

// All spans of a call are of one size. Sums are modulo 2^64.
void addWords(std::span<std::uint64_t> to, std::span<const std::uint64_t> what);
void subtractWords(std::span<std::uint64_t> from, std::span<const std::uint64_t> what);

/// a(0) b(0) + a(1) b(1) + .. modulo 2^128. Takes the same time whatever their values.
Wide dotProduct(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b);

}  // namespace lockstep::cc
