// Elements as words that can be added up: of every rank below 2^64 / P, so that sums are exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <lockstep/types.hpp>

namespace lockstep::cc {

/// Words can carry this: sums and averages of integers, and of f16, bf16, f32 and f64.
bool isMaskable(DataType type, Reduction reduction);
/// Floats, which become whole numbers of a unit that the ranks have agreed on.
bool isFixedPoint(DataType type);
/// 2 of 64-bit integers: their halves.
std::size_t wordsPerElement(DataType type);

/// What the sum of a chunk is made of.
struct ChunkFormat {
  DataType type = DataType::f32;
  int worldSize = 2;
  int divisor = 1;            ///< of the sum: worldSize for an average
  std::int32_t exponent = 0;  ///< fixed point: exponentOf the elements of any rank, or more
};

/// Elements to words: words.size() / wordsPerElement(type) of them, of any alignment.
void toWords(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words);
/// Sums of all ranks' words to elements.
void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums, std::byte* out);

}  // namespace lockstep::cc
