#include "cc_mode/masked/keystream.hpp"

#include <array>

namespace lockstep::cc {
namespace {

constexpr std::array<std::uint64_t, kPieceWords> kZeros{};

}  // namespace

Keystream::Keystream(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key)
    : aead_(std::move(aead)), key_(aead_, key) {}

std::uint64_t Keystream::reserve(std::uint64_t pieces) {
  return key_.reserve(pieces, kPieceWords * sizeof(std::uint64_t));
}

void Keystream::fill(std::uint64_t piece, std::span<std::uint64_t> words) {
  Tag unwanted;
  aead_->seal(key_.expanded(), nonceOf(piece), {},
              ConstPrivateBytes(kZeros.data(), words.size_bytes()),
              PrivateBytes(words.data(), words.size_bytes()), unwanted);
}

}  // namespace lockstep::cc
