#include "cc_mode/masked/elements.hpp"

#include "cc_mode/masked/fixed_point.hpp"
#include "cc_mode/masked/integers.hpp"

namespace lockstep::cc {
namespace {

bool isInteger(DataType type) {
  return type >= DataType::i8 && type <= DataType::u64;
}

}  // namespace

bool isFixedPoint(DataType type) {
  return type <= DataType::f64;
}

bool isMaskable(DataType type, Reduction reduction) {
  return (isInteger(type) || isFixedPoint(type)) &&
         (reduction == Reduction::sum || reduction == Reduction::avg);
}

std::size_t wordsPerElement(DataType type) {
  return isInteger(type) && sizeOf(type) == 8 ? 2 : 1;
}

void toWords(const ChunkFormat& format, const std::byte* in, std::span<std::uint64_t> words) {
  return isFixedPoint(format.type) ? toFixedPoint(format, in, words)
                                   : integersToWords(format, in, words);
}

void fromWords(const ChunkFormat& format, std::span<const std::uint64_t> sums, std::byte* out) {
  return isFixedPoint(format.type) ? fromFixedPoint(format, sums, out)
                                   : integersFromWords(format, sums, out);
}

}  // namespace lockstep::cc
