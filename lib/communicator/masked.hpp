// Masked all-reduces (Mode::ccMasked): each is a sequence of ordinary ones, with work in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/mapping.hpp"
#include "cc_mode/masked/masked_sum.hpp"

namespace lockstep {

/// One rank's part, but for running plans: `begin` and `next` say what is to be run before the next
/// `next`. All ranks' calls are told to run the same.
class MaskedCall {
 public:
  /// Most chunks that are masked, added up and unmasked at once: their words stay in a cache.
  static constexpr std::size_t kChunksAtOnce = cc::kUnitPieces * cc::kPieceChunks;

  struct Step {
    enum class Kind : std::uint8_t {
      agree,   ///< sealed all-reduce: the maximum of i32, in place
      carry,   ///< all-reduce in the clear: sum of u64, in place; whoever adds sees masked words
               ///< only
      sealed,  ///< the call itself, sealed: some rank's floats have a NaN or an infinity
      forged,  ///< what was carried did not verify, and has not reached `out`
      done,
    };
    Kind kind = Kind::done;
    void* data = nullptr;
    std::size_t count = 0;  ///< elements
  };

  /// As cc::MaskedSum.
  MaskedCall(int rank, int worldSize, std::shared_ptr<const cc::Aead> aead,
             const cc::MaskKeys& keys, std::uint64_t maxBlocks)
      : sum_(rank, worldSize, std::move(aead), keys, maxBlocks) {}

  /// `in` and `out` have `count` elements, at least one, and are one buffer or do not overlap.
  /// Throws as MaskedSum::begin, and system.
  Step begin(const cc::MaskedSum::Call& call, const void* in, void* out);
  /// After the last step's run.
  Step next();
  /// The last step was one to go on from.
  bool underway() const { return kind_ == Step::Kind::agree || kind_ == Step::Kind::carry; }
  /// As MaskedSum::padsPerWord.
  int padsPerWord() const { return sum_.padsPerWord(); }
  /// Words that a call of so many elements puts into its first carry.
  static std::size_t wordsAtFirst(DataType type, std::size_t count);

 private:
  Step carry(std::size_t first);
  Step take(Step step) {
    kind_ = step.kind;
    return step;
  }

  cc::MaskedSum sum_;
  Step::Kind kind_ = Step::Kind::done;
  const std::byte* in_ = nullptr;
  std::byte* out_ = nullptr;
  std::size_t first_ = 0, chunks_ = 0;  ///< that are being added up
  Mapping words_, exponentMemory_;      ///< as large as was ever needed
  std::span<std::int32_t> exponents_;   ///< one per chunk of the call, in fixed point
};

}  // namespace lockstep
