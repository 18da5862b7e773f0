#include "cc_mode/masked/pads.hpp"

#include "base/fail.hpp"
#include "cc_mode/forked.hpp"
#include "cc_mode/masked/words.hpp"

namespace lockstep::cc {

Pads::Pads(int rank, int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys,
           std::uint64_t maxBlocks)
    : rank_(rank), group_(aead, keys.group, maxBlocks) {
  if (worldSize < 2) fail(ErrorCode::internal, "pads of a rank that is alone add up to nothing");
  const bool ring = worldSize > 2;  // else there is one edge, from rank 0 to rank 1
  if (ring || rank == 1) before_.emplace(aead, keys.before, maxBlocks);
  if (ring || rank == 0) after_.emplace(aead, keys.after, maxBlocks);
  if (rank == 0) kept_.emplace();
  pad_->alive = true;
}

void Pads::reserve(std::uint64_t words) {
  ++call_;
  if (before_) before_->reserve(words);
  if (after_) after_->reserve(words);
  group_.reserve(words);
}

void Pads::mask(std::uint64_t piece, std::span<std::uint64_t> words) {
  if (after_) addWords(words, of(*after_, piece, words.size()));
  if (before_) subtractWords(words, of(*before_, piece, words.size()));
  if (rank_ == 0) addWords(words, ofGroup(piece, words.size()));
  refuseIfForked(words);
}

void Pads::unmask(std::uint64_t piece, std::span<std::uint64_t> sum) {
  subtractWords(sum, ofGroup(piece, sum.size()));
  refuseIfForked(sum);
}

/// Looked at afterwards: a signal handler may fork in between.
void Pads::refuseIfForked(std::span<std::uint64_t> words) const {
  if (pad_->alive) [[likely]]
    return;
  wipe(words.data(), words.size_bytes());
  refuseForkedChild();
}

Pads::Words Pads::of(Keystream& stream, std::uint64_t piece, std::size_t words) {
  const std::span pad(pad_->words.data(), words);
  stream.fill(piece, pad);
  return pad;
}

Pads::Words Pads::ofGroup(std::uint64_t piece, std::size_t words) {
  if (!kept_) return of(group_, piece, words);
  const std::size_t place = piece % kUnitPieces;
  const std::span pad((*kept_)->pieces[place].data(), words);
  Kept::Made& made = (*kept_)->made[place];
  if (made.call != call_ || made.piece != piece || made.words < words) {
    made = {};  // should it fail
    group_.fill(piece, pad);
    made = {call_, piece, words};
  }
  return pad;
}

}  // namespace lockstep::cc
