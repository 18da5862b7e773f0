// What hides a rank's words from whoever adds them up, and what all pads add up to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/secret.hpp"
#include "cc_mode/masked/keystream.hpp"
#include "cc_mode/masked/mask_keys.hpp"

namespace lockstep::cc {

/// Ranks stand in a ring; two neighbours share a keystream, which one adds and the other takes
/// away, and rank 0 adds the group's. So the pads of all ranks add up to the group's keystream, and
/// any P - 1 of them, or all, are independent and uniform for who holds no key. (Two ranks share
/// one keystream, not two: those would be the same and cancel.)
class Pads {
 public:
  /// `maxBlocks`: as LiveKey has it, of each of the keys.
  Pads(int rank, int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys,
       std::uint64_t maxBlocks = kMaxBlocks);

  /// Words of keystream that this rank makes to mask a word. One more, the group's, takes the mask
  /// off the sum; rank 0, which has added it, keeps it until then.
  int perWord() const { return (before_ ? 1 : 0) + (after_ ? 1 : 0); }
  /// For the next call, of so many words. Every rank reserves alike. Throws as LiveKey::reserve.
  void reserve(std::uint64_t words);
  // Both throw invalidArgument if this process was forked since this was made: pads are zeros
  // there, and nobody may see the words.

  /// Adds this rank's pad for a piece of the call, modulo 2^64.
  void mask(std::uint64_t piece, std::span<std::uint64_t> words);
  /// Takes off the sum what all pads add up to.
  void unmask(std::uint64_t piece, std::span<std::uint64_t> sum);

 private:
  using Words = std::span<const std::uint64_t>;
  using Piece = std::array<std::uint64_t, kPieceWords>;
  /// The last pieces of a stream, each in a place that its number says.
  struct Kept {
    struct Made {
      std::uint64_t call = 0;  ///< 0: none
      std::uint64_t piece = 0;
      std::size_t words = 0;
    };
    Kept() {}  // NOLINT: pieces that nobody has made need no zeros
    std::array<Made, kUnitPieces> made{};
    std::array<Piece, kUnitPieces> pieces;
  };
  Words of(Keystream& stream, std::uint64_t piece, std::size_t words);
  Words ofGroup(std::uint64_t piece, std::size_t words);
  void refuseIfForked(std::span<std::uint64_t> words) const;

  int rank_;
  std::uint64_t call_ = 0;  ///< how many there have been
  std::optional<Keystream> before_, after_;
  Keystream group_;
  struct Pad {
    Piece words;
    bool alive;  ///< false in a forked child, however it was forked
  };
  Secret<Pad> pad_;
  std::optional<Secret<Kept>> kept_;  ///< of the group's: rank 0 masks and unmasks with them
};

}  // namespace lockstep::cc
