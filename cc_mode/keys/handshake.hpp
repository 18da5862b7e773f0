// How the ranks of a sealed communicator get their keys. README.md has the messages and what they
// bind.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cc_mode/keys/key_ring.hpp"
#include "cc_mode/keys/lineage.hpp"
#include <lockstep/attestation.hpp>
#include <lockstep/types.hpp>

namespace lockstep::cc {

inline constexpr std::size_t kMinPskBytes = 32;

struct HandshakeParameters {
  int rank = 0;
  int worldSize = 1;
  Mode mode = Mode::cc;
  std::array<std::byte, 16> communicatorId{};
  /// A digest of what the ranks have agreed on before: whoever was told something else gets no
  /// keys.
  std::array<std::byte, 32> agreed{};
  /// At least kMinPskBytes, or empty when there is an attestation, or `insecure`.
  std::span<const std::byte> psk;
  /// Every rank shows a quote, and verifies the others'; nullptr: none does.
  const Attestation* attestation = nullptr;
  /// Allows to have neither: secret from a listener, open to an active attacker.
  bool insecure = false;
};

/// Every rank contributes a message, every rank gets all messages by rank. The carrier is not
/// trusted.
using AllGather = std::function<std::vector<std::vector<std::byte>>(std::span<const std::byte>)>;

/// X25519 between every pair, bound to the pre-shared key and to a transcript of everything all
/// ranks said; quotes over that transcript; random group keys wrapped under the pairwise keys;
/// confirmed by pairwise MACs. `lineage`, if given, becomes that of a communicator with these keys:
/// the same on all ranks. Throws keyExchange, naming the rank.
KeyRing handshake(const HandshakeParameters& parameters, std::shared_ptr<const Aead> aead,
                  const AllGather& allGather, Lineage* lineage = nullptr);

}  // namespace lockstep::cc
