#include "cc_mode/keys/x25519.hpp"

#include <utility>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/fail.hpp"
#include "base/secret.hpp"

namespace lockstep::cc {
namespace {

void require(bool done) {
  if (!done)
    fail(ErrorCode::system, "OpenSSL refused X25519; is its provider configuration broken?");
}

unsigned char* out(std::byte* p) {
  return reinterpret_cast<unsigned char*>(p);
}
const unsigned char* in(const std::byte* p) {
  return reinterpret_cast<const unsigned char*>(p);
}

struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};

bool isZero(std::span<const std::byte, kX25519Bytes> secret) {
  constexpr std::array<std::byte, kX25519Bytes> kZero{};
  return CRYPTO_memcmp(secret.data(), kZero.data(), kX25519Bytes) == 0;
}

}  // namespace

void X25519::FreeKey::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

X25519::X25519() : X25519(Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"))) {}

X25519::X25519(std::span<const std::byte, kX25519Bytes> privateKey)
    : X25519(Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, in(privateKey.data()),
                                              privateKey.size()))) {}

X25519::X25519(Key key) : key_(std::move(key)) {
  std::size_t size = publicKey_.size();
  require(key_ && EVP_PKEY_get_raw_public_key(key_.get(), out(publicKey_.data()), &size) == 1);
}

bool X25519::agree(const PublicKey& peer, std::span<std::byte, kX25519Bytes> secret) const {
  const Key theirs(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, in(peer.data()), peer.size()));
  const std::unique_ptr<EVP_PKEY_CTX, FreeContext> context(EVP_PKEY_CTX_new(key_.get(), nullptr));
  require(theirs && context && EVP_PKEY_derive_init(context.get()) == 1 &&
          EVP_PKEY_derive_set_peer(context.get(), theirs.get()) == 1);
  std::size_t size = secret.size();
  // OpenSSL refuses a zero result itself; we do not rely on it.
  if (EVP_PKEY_derive(context.get(), out(secret.data()), &size) == 1 && !isZero(secret))
    return true;
  ERR_clear_error();
  wipe(secret.data(), secret.size());
  return false;
}

}  // namespace lockstep::cc
