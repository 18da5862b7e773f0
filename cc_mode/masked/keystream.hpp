// Words that look random to whoever lacks a key, each to be used once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "cc_mode/keys/key_ring.hpp"

namespace lockstep::cc {

/// Most words that cross together, under one number: a chunk and its tag.
inline constexpr std::size_t kChunkWords = 512;
inline constexpr std::size_t kTagWords = 4;
inline constexpr std::size_t kPieceWords = kChunkWords + kTagWords;

/// AES-256 in counter mode, as AES-GCM has it: what the AEAD makes of zeros under the piece's
/// number as nonce. (It is the fastest counter mode at hand, though it makes a tag that nobody
/// wants, keeps its keys where they belong, and comes with LiveKey's counters, epochs and refusal
/// of forks.)
class Keystream {
 public:
  Keystream(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key);

  /// Takes `pieces` numbers and returns the first; whatever becomes of the call, they are not given
  /// back. Throws as LiveKey::reserve.
  std::uint64_t reserve(std::uint64_t pieces);
  /// The first words of a piece, at most kPieceWords.
  void fill(std::uint64_t piece, std::span<std::uint64_t> words);

 private:
  std::shared_ptr<const Aead> aead_;
  LiveKey key_;
};

}  // namespace lockstep::cc
