// One rank's side of a masked all-reduce, but for the adding up, which anybody may do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cc_mode/masked/elements.hpp"
#include "cc_mode/masked/pads.hpp"
#include "cc_mode/masked/tags.hpp"

namespace lockstep::cc {

/// A call is cut into chunks of kChunkWords words, the last perhaps of fewer, each with kTagWords
/// more behind it. In fixed point each has an exponent, which all ranks must know the greatest of
/// first.
class MaskedSum {
 public:
  /// Each key is replaced after `maxBlocks` blocks, as LiveKey has it.
  MaskedSum(int rank, int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys,
            std::uint64_t maxBlocks = kMaxBlocks);

  struct Call {
    DataType type = DataType::f32;
    Reduction reduction = Reduction::sum;
    std::size_t count = 0;   ///< elements
    std::uint64_t what = 0;  ///< bound into tags: what all ranks must agree on
  };
  /// Takes the pads and multipliers of a call, for good. Throws invalidArgument for more than can
  /// be counted.
  void begin(const Call& call);

  std::size_t chunks() const { return chunks_; }
  /// As Pads::perWord; to unmask a word takes one.
  int padsPerWord() const { return pads_.perWord(); }
  /// Of chunks [first, first + n), tags too.
  std::size_t wordsOf(std::size_t first, std::size_t n) const;

  // `in`, `out`: all elements of the call. `exponents`: one per chunk of it, in fixed point.
  // `first`: of a piece, a multiple of kPieceChunks. Pieces are masked as a whole, once and in
  // order; those of kUnitPieces are unmasked before the next are masked, or a key may be gone.

  /// This rank's exponents; kNotFinite where it has a NaN or an infinity.
  void measure(const std::byte* in, std::span<std::int32_t> exponents) const;
  /// Makes words of chunks [first, first + n) that may be shown to anybody.
  void mask(std::size_t first, std::size_t n, std::span<const std::int32_t> exponents,
            const std::byte* in, std::uint64_t* words);
  /// Makes elements of their sums; of a chunk only if it verifies. False: one did not, and it and
  /// what is behind it has not been written, and is wiped in `words`.
  [[nodiscard]] bool unmask(std::size_t first, std::size_t n,
                            std::span<const std::int32_t> exponents, std::uint64_t* words,
                            std::byte* out);

 private:
  struct Chunk {
    std::span<std::uint64_t> words;
    std::span<std::uint64_t, kTagWords> tag;
    std::size_t offset;  ///< of its elements, in bytes
  };
  Chunk chunkAt(std::size_t index, std::uint64_t* words) const;
  std::size_t wordsIn(std::size_t chunk) const;
  ChunkFormat formatOf(std::size_t chunk, std::span<const std::int32_t> exponents) const;

  int worldSize_;
  Pads pads_;
  Tags tags_;
  Call call_;
  std::size_t words_ = 0, chunks_ = 0;  ///< of the call, without tags
};

}  // namespace lockstep::cc
