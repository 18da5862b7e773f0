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
  Pads(int rank, int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys);

  /// Words of keystream that this rank makes to mask a word.
  int perWord() const { return (before_ ? 1 : 0) + (after_ ? 1 : 0) + (rank_ == 0 ? 1 : 0); }
  /// For the next call, of so many pieces. Every rank reserves alike. Throws as LiveKey::reserve.
  void reserve(std::uint64_t pieces);
  /// Adds this rank's pad for a piece of the call, modulo 2^64.
  void mask(std::uint64_t piece, std::span<std::uint64_t> words);
  /// Takes off the sum what all pads add up to.
  void unmask(std::uint64_t piece, std::span<std::uint64_t> sum);

 private:
  struct Stream {
    Keystream keys;
    std::uint64_t first = 0;  ///< piece of this call
  };
  std::span<const std::uint64_t> of(Stream& stream, std::uint64_t piece, std::size_t words);

  int rank_;
  std::optional<Stream> before_, after_;
  Stream group_;
  Secret<std::array<std::uint64_t, kPieceWords>> pad_;
};

}  // namespace lockstep::cc
