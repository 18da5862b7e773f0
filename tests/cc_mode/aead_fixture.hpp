// Sealing and opening vectors of bytes with every Aead that this machine has.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cc_mode/aead/aead.hpp"
#include <lockstep/error.hpp>

namespace lockstep::test {

using Bytes = std::vector<std::byte>;

struct Sealed {
  Bytes cipher;
  cc::Tag tag{};
};

inline std::vector<std::shared_ptr<const cc::Aead>> allAeads() {
  std::vector<std::shared_ptr<const cc::Aead>> all;
  for (const char* name : {"ipsec-mb", "openssl"}) {
    try {
      all.push_back(cc::createAead(name));
    } catch (const Error&) {  // this build or machine does not have it
    }
  }
  return all;
}

inline std::unique_ptr<cc::ExpandedKey> expand(const cc::Aead& aead, const Bytes& key) {
  return aead.expand(std::span<const std::byte, cc::kKeyBytes>(key.data(), cc::kKeyBytes));
}

inline cc::ConstPrivateBytes view(const Bytes& b) {
  return cc::ConstPrivateBytes(b.data(), b.size());
}
inline cc::PrivateBytes view(Bytes& b) {
  return cc::PrivateBytes(b.data(), b.size());
}

inline Sealed seal(const cc::Aead& aead, cc::ExpandedKey& key, const cc::Nonce& nonce,
                   const Bytes& aad, const Bytes& plain) {
  Sealed sealed{.cipher = Bytes(plain.size())};
  aead.seal(key, nonce, view(aad), view(plain), view(sealed.cipher), sealed.tag);
  return sealed;
}

/// `plain` gets what open left there.
inline bool open(const cc::Aead& aead, cc::ExpandedKey& key, const cc::Nonce& nonce,
                 const Bytes& aad, const Sealed& sealed, Bytes& plain) {
  plain.assign(sealed.cipher.size(), std::byte{0xa5});
  return aead.open(key, nonce, view(aad), view(sealed.cipher), sealed.tag, view(plain));
}

inline bool isZero(const Bytes& bytes) {
  for (const std::byte b : bytes)
    if (b != std::byte{0}) return false;
  return true;
}

}  // namespace lockstep::test
