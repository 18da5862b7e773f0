// The keys that one rank of a sealed communicator holds, and how often each has been used.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/secret.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/secure_pass.hpp"

namespace lockstep::cc {

/// One key with its nonce counter. Sender and receivers count alike, from their plans.
class LiveKey {
 public:
  LiveKey(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key);

  /// Takes `records` nonces for records of at most `recordBytes` and returns the first. Never given
  /// back, even when the operation fails. Moves to the next epoch's key (HKDF of this one) before
  /// the TLS 1.3 bound of 2^34.5 blocks (RFC 8446 section 5.5) would be passed; both ends do so at
  /// the same call.
  std::uint64_t reserve(std::uint64_t records, std::size_t recordBytes);
  ExpandedKey& expanded() { return *expanded_; }
  std::uint32_t epoch() const { return epoch_; }

 private:
  void nextEpoch();
  std::shared_ptr<const Aead> aead_;
  Secret<std::array<std::byte, kKeyBytes>> key_;
  std::unique_ptr<ExpandedKey> expanded_;
  std::uint64_t next_ = 0;
  std::uint64_t blocks_ = 0;
  std::uint32_t epoch_ = 0;
};

/// All keys of a rank: for records to and from each peer, every rank's group key, and for control
/// messages to and from each peer.
class KeyRing {
 public:
  explicit KeyRing(std::shared_ptr<const Aead> aead) : aead_(std::move(aead)) {}
  const Aead& aead() const { return *aead_; }
  void add(KeyName name, std::span<const std::byte, kKeyBytes> key);
  /// Throws internal for a key this rank does not hold.
  LiveKey& at(KeyName name);
  /// The same for the keys of control messages.
  void addControl(KeyName name, std::span<const std::byte, kKeyBytes> key);
  LiveKey& control(KeyName name);

 private:
  using Keys = std::map<KeyName, LiveKey>;
  void add(Keys& keys, KeyName name, std::span<const std::byte, kKeyBytes> key);
  static LiveKey& find(Keys& keys, KeyName name);

  std::shared_ptr<const Aead> aead_;
  Keys keys_, control_;
};

}  // namespace lockstep::cc
