#include "base/hkdf.hpp"

#include <memory>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/fail.hpp"

namespace lockstep {

namespace {

using Input = std::span<const std::byte>;

void require(bool done, std::string_view what) {
  if (!done)
    fail(ErrorCode::system, "OpenSSL refused {}; is its provider configuration broken?", what);
}

unsigned char* out(std::byte* p) {
  return reinterpret_cast<unsigned char*>(p);
}
const unsigned char* in(const std::byte* p) {
  return reinterpret_cast<const unsigned char*>(p);
}

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

OSSL_PARAM octets(const char* name, Input value) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(value.data()),
                                           value.size());
}

/// One step of HKDF-SHA256; `parameter` is the salt of an extract, the info of an expand.
void hkdf(int mode, Input key, OSSL_PARAM parameter, std::span<std::byte> result) {
  const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  require(kdf != nullptr, "HKDF");
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, key), parameter, OSSL_PARAM_construct_end()};
  require(context != nullptr &&
              EVP_KDF_derive(context.get(), out(result.data()), result.size(), parameters) == 1,
          "HKDF-SHA256");
}

}  // namespace

Hash sha256(Input data) {
  Hash hash;
  require(EVP_Digest(data.data(), data.size(), out(hash.data()), nullptr, EVP_sha256(), nullptr),
          "SHA-256");
  return hash;
}

std::array<std::byte, 64> sha512(Input data) {
  std::array<std::byte, 64> hash;
  require(EVP_Digest(data.data(), data.size(), out(hash.data()), nullptr, EVP_sha512(), nullptr),
          "SHA-512");
  return hash;
}

Hash hmacSha256(Input key, Input data) {
  Hash mac;
  require(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), in(data.data()), data.size(),
               out(mac.data()), nullptr) != nullptr,
          "HMAC-SHA256");
  return mac;
}

void hkdfExtract(Input salt, Input secret, std::span<std::byte, kHashBytes> pseudorandomKey) {
  static constexpr Hash kNoSalt{};  // RFC 5869 section 2.2
  const Input given = salt.empty() ? Input(kNoSalt) : salt;
  hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY, secret, octets(OSSL_KDF_PARAM_SALT, given), pseudorandomKey);
}

void hkdfExpand(std::span<const std::byte, kHashBytes> pseudorandomKey, Input info,
                std::span<std::byte> key) {
  hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY, pseudorandomKey, octets(OSSL_KDF_PARAM_INFO, info), key);
}

bool equalInConstantTime(const Hash& a, const Hash& b) {
  return CRYPTO_memcmp(a.data(), b.data(), kHashBytes) == 0;
}

}  // namespace lockstep
