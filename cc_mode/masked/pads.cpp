#include "cc_mode/masked/pads.hpp"

#include "base/fail.hpp"

namespace lockstep::cc {

Pads::Pads(int rank, int worldSize, std::shared_ptr<const Aead> aead, const MaskKeys& keys)
    : rank_(rank), group_{{aead, keys.group}} {
  if (worldSize < 2) fail(ErrorCode::internal, "pads of a rank that is alone add up to nothing");
  const bool ring = worldSize > 2;  // else there is one edge, from rank 0 to rank 1
  if (ring || rank == 1) before_.emplace(Stream{Keystream(aead, keys.before)});
  if (ring || rank == 0) after_.emplace(Stream{Keystream(aead, keys.after)});
}

void Pads::reserve(std::uint64_t pieces) {
  if (before_) before_->first = before_->keys.reserve(pieces);
  if (after_) after_->first = after_->keys.reserve(pieces);
  group_.first = group_.keys.reserve(pieces);
}

void Pads::mask(std::uint64_t piece, std::span<std::uint64_t> words) {
  const auto add = [&](Stream& stream) {
    const auto pad = of(stream, piece, words.size());
    for (std::size_t i = 0; i < words.size(); ++i) words[i] += pad[i];
  };
  if (after_) add(*after_);
  if (before_) {
    const auto pad = of(*before_, piece, words.size());
    for (std::size_t i = 0; i < words.size(); ++i) words[i] -= pad[i];
  }
  if (rank_ == 0) add(group_);
}

void Pads::unmask(std::uint64_t piece, std::span<std::uint64_t> sum) {
  const auto pad = of(group_, piece, sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] -= pad[i];
}

std::span<const std::uint64_t> Pads::of(Stream& stream, std::uint64_t piece, std::size_t words) {
  const std::span pad(pad_->data(), words);
  stream.keys.fill(stream.first + piece, pad);
  return pad;
}

}  // namespace lockstep::cc
