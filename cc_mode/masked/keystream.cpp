#include "cc_mode/masked/keystream.hpp"

#include <algorithm>
#include <array>

#include "base/fail.hpp"

namespace lockstep::cc {
namespace {

constexpr std::array<std::uint64_t, kPieceWords> kZeros{};

}  // namespace

Keystream::Keystream(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key,
                     std::uint64_t maxBlocks)
    : aead_(std::move(aead)), key_(aead_, key, maxBlocks) {}

void Keystream::reserve(std::uint64_t words) {
  mine_ = {};
  if (words <= Ahead::kMostOfACall) return takeAhead(words);
  const std::uint64_t pieces = piecesOf(words);
  const std::uint64_t units = (pieces + kUnitPieces - 1) / kUnitPieces;
  const std::uint64_t longest = std::min<std::uint64_t>(words, kPieceWords);
  first_ = key_.reserve(units, std::min<std::uint64_t>(pieces, kUnitPieces),
                        longest * sizeof(std::uint64_t));
  oldest_ = 0;
}

void Keystream::takeAhead(std::size_t words) {
  const std::span all(ahead_->words);
  if (ahead_->left < words) {
    const std::uint64_t number = key_.reserve(1, all.size_bytes());
    ahead_->left = 0;  // should it fail
    make(0, number, all);
    ahead_->left = all.size();
  }
  mine_ = all.last(ahead_->left).first(words);
  ahead_->left -= words;
}

void Keystream::fill(std::uint64_t piece, std::span<std::uint64_t> words) {
  if (!mine_.empty()) {
    std::ranges::copy(mine_.first(words.size()), words.begin());
    return;
  }
  const std::uint64_t unit = piece / kUnitPieces;
  if (unit < oldest_) fail(ErrorCode::internal, "the key of piece {} is gone", piece);
  if (unit >= key_.turnsAt()) oldest_ = unit;
  make(unit, first_ + piece, words);
}

void Keystream::make(std::uint64_t unit, std::uint64_t number, std::span<std::uint64_t> words) {
  key_.done(unit);
  Tag unwanted;
  aead_->seal(key_.of(unit), nonceOf(number), {},
              ConstPrivateBytes(kZeros.data(), words.size_bytes()),
              PrivateBytes(words.data(), words.size_bytes()), unwanted);
}

}  // namespace lockstep::cc
