// How a rank and a keyed meeting point, and then the ranks among themselves, prove that they know
// the pre-shared key, without saying it.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/hkdf.hpp"
#include "base/secret.hpp"
#include "bootstrap/frame.hpp"
#include "bootstrap/token.hpp"

namespace lockstep {

/// All that one attempt to join has of its own. Both ends contribute randomness, so a proof that
/// was recorded fits no other attempt.
struct JoinAttempt {
  Nonce challenge;  ///< the meeting point's
  Hello hello;
  Nonce nonce;  ///< the rank's
};

/// HKDF of the pre-shared key, with the token as its salt: good for one meeting point alone, and
/// apart from all keys of the key exchange.
class JoinKey {
 public:
  JoinKey(std::span<const std::byte> psk, const Token& token);

  Hash proofOfRank(const JoinAttempt& attempt) const;
  Hash proofOfMeetingPoint(const JoinAttempt& attempt) const;
  /// Of anything else. What has another purpose has another proof.
  Hash proof(std::string_view purpose, std::span<const std::byte> said) const;

 private:
  Secret<Hash> key_;
};

/// The key's bytes, for those who look for them in memory.
void deriveJoinKey(std::span<const std::byte> psk, const Token& token,
                   std::span<std::byte, kHashBytes> key);

}  // namespace lockstep
