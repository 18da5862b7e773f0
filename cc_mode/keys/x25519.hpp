// Diffie-Hellman on Curve25519 (RFC 7748), by OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

struct evp_pkey_st;

namespace lockstep::cc {

inline constexpr std::size_t kX25519Bytes = 32;

/// A private key, held in OpenSSL's memory and zeroed when destroyed.
class X25519 {
 public:
  using PublicKey = std::array<std::byte, kX25519Bytes>;

  /// A fresh key. Throws system.
  X25519();
  /// A known key, for vectors. Throws system.
  explicit X25519(std::span<const std::byte, kX25519Bytes> privateKey);

  const PublicKey& publicKey() const { return publicKey_; }
  /// The secret shared with the owner of `peer`. False: `peer` is a point of low order, which would
  /// make the secret known to everyone (RFC 7748 section 6.1); `secret` is then zero.
  [[nodiscard]] bool agree(const PublicKey& peer, std::span<std::byte, kX25519Bytes> secret) const;

 private:
  struct FreeKey {
    void operator()(evp_pkey_st* key) const;
  };
  using Key = std::unique_ptr<evp_pkey_st, FreeKey>;

  explicit X25519(Key key);
  Key key_;
  PublicKey publicKey_{};
};

}  // namespace lockstep::cc
