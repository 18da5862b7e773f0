// How members see that the sum of a chunk was not changed: a second sum, in a ring of 128 bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/secret.hpp"
#include "cc_mode/masked/keystream.hpp"
#include "cc_mode/masked/mask_keys.hpp"
#include "cc_mode/masked/words.hpp"

namespace lockstep::cc {

/// A tag is a(0) d + a(1) x(1) + .. + a(n) x(n) modulo 2^128, for the words x of a chunk, d for the
/// call, and multipliers a of 64 bits that only members know. It is linear: tags of ranks
/// add up to the tag of their sums. Whoever changes sums must change the sum of tags by the same
/// combination of multipliers: README.md shows that this succeeds with at most 2^-64.
class Tags {
 public:
  /// `maxBlocks`: as LiveKey has it.
  Tags(int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys,
       std::uint64_t maxBlocks = kMaxBlocks);

  /// New multipliers for the next call, whose chunks have at most so many words. Every rank's
  /// `call` must be the same: 58 bits of what the ranks must agree on. Throws as LiveKey::reserve.
  void begin(std::uint64_t call, std::size_t words = kChunkWords);
  /// The tag of a rank's words, in words of 32 bits that can be added up.
  void write(std::span<const std::uint64_t> words, std::span<std::uint64_t, kTagWords> tag) const;
  /// Sums of all ranks' words, each below 2^64, and of their tags: false if they do not fit.
  [[nodiscard]] bool verify(std::span<const std::uint64_t> sums,
                            std::span<const std::uint64_t, kTagWords> tag) const;

 private:
  Wide tagOf(std::span<const std::uint64_t> words, std::uint64_t call) const;

  std::uint64_t worldSize_, call_ = 0;
  Keystream stream_;
  Secret<std::array<std::uint64_t, kChunkWords + 1>> multipliers_;
};

}  // namespace lockstep::cc
