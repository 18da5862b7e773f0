#include "cc_mode/masked/masked_sum.hpp"

#include <algorithm>

#include "cc_mode/masked/fixed_point.hpp"

namespace lockstep::cc {

MaskedSum::MaskedSum(int rank, int worldSize, std::shared_ptr<const Aead> aead,
                     const MaskKeys& keys, std::uint64_t maxBlocks)
    : worldSize_(worldSize),
      pads_(rank, worldSize, aead, keys, maxBlocks),
      tags_(worldSize, aead, keys, maxBlocks) {}

void MaskedSum::begin(const Call& call) {
  call_ = call;
  words_ = call.count * wordsPerElement(call.type);
  chunks_ = (words_ + kChunkWords - 1) / kChunkWords;
  pads_.reserve(words_ + chunks_ * kTagWords);
  tags_.begin(call.what, std::min(words_, kChunkWords));
}

std::size_t MaskedSum::wordsIn(std::size_t chunk) const {
  return std::min(words_ - chunk * kChunkWords, kChunkWords);
}

std::size_t MaskedSum::wordsOf(std::size_t first, std::size_t n) const {
  return n == 0 ? 0 : (n - 1) * kTaggedWords + wordsIn(first + n - 1) + kTagWords;
}

MaskedSum::Chunk MaskedSum::chunkAt(std::size_t index, std::uint64_t* words) const {
  const std::size_t n = wordsIn(index);
  return {{words, n},
          std::span<std::uint64_t, kTagWords>(words + n, kTagWords),
          index * kChunkWords / wordsPerElement(call_.type) * sizeOf(call_.type)};
}

ChunkFormat MaskedSum::formatOf(std::size_t chunk, std::span<const std::int32_t> exponents) const {
  return {.type = call_.type,
          .worldSize = worldSize_,
          .divisor = call_.reduction == Reduction::avg ? worldSize_ : 1,
          .exponent = isFixedPoint(call_.type) ? exponents[chunk] : 0};
}

void MaskedSum::measure(const std::byte* in, std::span<std::int32_t> exponents) const {
  const std::size_t bytes = kChunkWords * sizeOf(call_.type);
  for (std::size_t i = 0; i < chunks_; ++i)
    exponents[i] = exponentOf(call_.type, in + i * bytes, wordsIn(i));
}

void MaskedSum::mask(std::size_t first, std::size_t n, std::span<const std::int32_t> exponents,
                     const std::byte* in, std::uint64_t* words) {
  const std::size_t end = first + n;
  for (std::size_t next = first; next < end; first = next) {
    next = std::min(first + kPieceChunks, end);
    const std::span piece(words, wordsOf(first, next - first));
    for (std::size_t i = first; i < next; ++i, words += kTaggedWords) {
      const Chunk chunk = chunkAt(i, words);
      toWords(formatOf(i, exponents), in + chunk.offset, chunk.words);
      tags_.write(chunk.words, chunk.tag);
    }
    pads_.mask(first / kPieceChunks, piece);
  }
}

bool MaskedSum::unmask(std::size_t first, std::size_t n, std::span<const std::int32_t> exponents,
                       std::uint64_t* words, std::byte* out) {
  const std::size_t end = first + n;
  for (std::size_t next = first; next < end; first = next) {
    next = std::min(first + kPieceChunks, end);
    pads_.unmask(first / kPieceChunks, {words, wordsOf(first, next - first)});
    for (std::size_t i = first; i < next; ++i, words += kTaggedWords) {
      const Chunk chunk = chunkAt(i, words);
      if (!tags_.verify(chunk.words, chunk.tag)) {
        wipe(words, wordsOf(i, end - i) * sizeof *words);
        return false;
      }
      fromWords(formatOf(i, exponents), chunk.words, out + chunk.offset);
    }
  }
  return true;
}

}  // namespace lockstep::cc
