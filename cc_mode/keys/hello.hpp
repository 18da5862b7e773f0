// The first message of the key exchange: what a rank is, and its fresh public key.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "cc_mode/keys/handshake.hpp"
#include "cc_mode/keys/hkdf.hpp"
#include "cc_mode/keys/x25519.hpp"

namespace lockstep::cc {

struct Hello {
  /// Raised whenever any byte of the key exchange or of the record format changes its meaning.
  static constexpr std::uint16_t kVersion = 2;
  /// version 2, mode 1, key sources 1, rank 2, world 2, cipher 32, ephemeral 32, nonce 32
  static constexpr std::size_t kBytes = 104;

  Mode mode = Mode::cc;
  bool preShared = false;  ///< it has a pre-shared key
  bool attested = false;   ///< it shows a quote, and asks for the others'
  std::uint16_t rank = 0;
  std::uint16_t world = 1;
  Hash cipher{};  ///< SHA-256 of the AEAD's name
  X25519::PublicKey ephemeral{};
  std::array<std::byte, 32> nonce{};
};

std::array<std::byte, Hello::kBytes> encode(const Hello& hello);

/// Parses what `rank` sent and checks that it wants what I want. Throws keyExchange, naming `rank`
/// and saying what differs. `cipherName`: mine.
Hello checkHello(std::span<const std::byte> message, int rank, const Hello& mine,
                 std::string_view cipherName);

}  // namespace lockstep::cc
