// Words that look random to whoever lacks a key, each to be used once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/secret.hpp"
#include "cc_mode/keys/key_ring.hpp"

namespace lockstep::cc {

/// Most words that are added up under one tag, and what is behind them.
inline constexpr std::size_t kChunkWords = 512;
inline constexpr std::size_t kTagWords = 4;
inline constexpr std::size_t kTaggedWords = kChunkWords + kTagWords;
/// Most words that are made at a time, under one number: so many that the cipher runs at its full
/// rate, and so few that they stay in the nearest cache with what they are added to.
inline constexpr std::size_t kPieceChunks = 4;
inline constexpr std::size_t kPieceWords = kPieceChunks * kTaggedWords;

/// Pieces that are made under one key (a unit of LiveKey's), and most that are under way at once.
inline constexpr std::size_t kUnitPieces = 32;

/// Pieces of a call with so many words, of which the last is perhaps shorter.
constexpr std::uint64_t piecesOf(std::uint64_t words) {
  return (words + kPieceWords - 1) / kPieceWords;
}

/// AES-256 in counter mode, as AES-GCM has it: what the AEAD makes of zeros under the piece's
/// number as nonce. (It is the fastest counter mode at hand, though it makes a tag that nobody
/// wants, keeps its keys where they belong, and comes with LiveKey's counters, epochs and refusal
/// of forks.)
class Keystream {
 public:
  /// `maxBlocks`: as LiveKey has it.
  Keystream(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key,
            std::uint64_t maxBlocks = kMaxBlocks);

  /// Takes words for the next call; whatever becomes of it, they are not given back. Throws as
  /// LiveKey::reserve.
  void reserve(std::uint64_t words);
  /// The first words of a piece of the call, at most kPieceWords. Pieces may come in any order
  /// within kUnitPieces of them, but not after those of later units.
  void fill(std::uint64_t piece, std::span<std::uint64_t> words);

 private:
  /// Words for calls to come, if they are of few: for each of them the cipher would take nearly as
  /// long. In a forked child there are none left.
  struct Ahead {
    static constexpr std::size_t kMostOfACall = 128;
    std::size_t left = 0;
    std::array<std::uint64_t, 4 * kMostOfACall> words;
  };
  void takeAhead(std::size_t words);
  void make(std::uint64_t unit, std::uint64_t number, std::span<std::uint64_t> words);

  std::shared_ptr<const Aead> aead_;
  LiveKey key_;
  std::uint64_t first_ = 0;   ///< number of the call's first piece
  std::uint64_t oldest_ = 0;  ///< unit of the call that there is a key for
  Secret<Ahead> ahead_;
  std::span<const std::uint64_t> mine_;  ///< of it, for a call of few words; else empty
};

}  // namespace lockstep::cc
