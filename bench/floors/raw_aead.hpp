// AES-256-GCM as the libraries' own examples call it: the key made ready once, then record after
// record, with nothing around the calls. What our Aead is measured against.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>

#include <intel-ipsec-mb.h>
#include <openssl/evp.h>

#include "base/fail.hpp"
#include "cc_mode/aead/aead.hpp"

namespace lockstep::floors {

/// What a record is, to the raw loops and to ours alike.
struct RecordBytes {
  const std::byte* from;
  std::byte* to;
  std::size_t size;
};

inline const std::uint8_t* in(const std::byte* p) {
  return reinterpret_cast<const std::uint8_t*>(p);
}
inline std::uint8_t* out(std::byte* p) {
  return reinterpret_cast<std::uint8_t*>(p);
}

/// The one-call macros of intel-ipsec-mb's direct interface.
class RawIpsecMb {
 public:
  static constexpr std::string_view kName = "ipsec-mb";

  explicit RawIpsecMb(std::span<const std::byte, cc::kKeyBytes> key) : manager_(alloc_mb_mgr(0)) {
    if (!manager_) fail(ErrorCode::system, "intel-ipsec-mb has no memory for its manager");
    init_mb_mgr_auto(manager_.get(), nullptr);
    IMB_AES256_GCM_PRE(manager_.get(), in(key.data()), &key_);
  }

  void seal(const cc::Nonce& nonce, std::span<const std::byte> aad, RecordBytes record,
            cc::Tag& tag) {
    IMB_AES256_GCM_ENC(manager_, &key_, &context_, out(record.to), in(record.from), record.size,
                       in(nonce.data()), in(aad.data()), aad.size(), out(tag.data()), tag.size());
  }
  bool open(const cc::Nonce& nonce, std::span<const std::byte> aad, RecordBytes record,
            const cc::Tag& tag) {
    cc::Tag expected;
    IMB_AES256_GCM_DEC(manager_, &key_, &context_, out(record.to), in(record.from), record.size,
                       in(nonce.data()), in(aad.data()), aad.size(), out(expected.data()),
                       expected.size());
    return std::memcmp(expected.data(), tag.data(), tag.size()) == 0;
  }

 private:
  struct FreeManager {
    void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
  };
  std::unique_ptr<IMB_MGR, FreeManager> manager_;
  alignas(64) gcm_key_data key_;  // its type does not say so
  gcm_context_data context_;
};

/// OpenSSL's EVP with a context for each direction, whose key stays expanded.
class RawOpenssl {
 public:
  static constexpr std::string_view kName = "openssl";

  explicit RawOpenssl(std::span<const std::byte, cc::kKeyBytes> key)
      : cipher_(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)),
        sealing_(EVP_CIPHER_CTX_new()),
        opening_(EVP_CIPHER_CTX_new()) {
    require(cipher_ && sealing_ && opening_ &&
            EVP_EncryptInit_ex2(sealing_.get(), cipher_.get(), in(key.data()), nullptr, nullptr) &&
            EVP_DecryptInit_ex2(opening_.get(), cipher_.get(), in(key.data()), nullptr, nullptr));
  }

  void seal(const cc::Nonce& nonce, std::span<const std::byte> aad, RecordBytes record,
            cc::Tag& tag) {
    EVP_CIPHER_CTX* c = sealing_.get();
    int n = 0;
    require(
        EVP_EncryptInit_ex2(c, nullptr, nullptr, in(nonce.data()), nullptr) &&
        EVP_EncryptUpdate(c, nullptr, &n, in(aad.data()), static_cast<int>(aad.size())) &&
        EVP_EncryptUpdate(c, out(record.to), &n, in(record.from), static_cast<int>(record.size)) &&
        EVP_EncryptFinal_ex(c, out(tag.data()), &n) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, cc::kTagBytes, tag.data()));
  }
  bool open(const cc::Nonce& nonce, std::span<const std::byte> aad, RecordBytes record,
            cc::Tag tag) {
    EVP_CIPHER_CTX* c = opening_.get();
    int n = 0;
    require(
        EVP_DecryptInit_ex2(c, nullptr, nullptr, in(nonce.data()), nullptr) &&
        EVP_DecryptUpdate(c, nullptr, &n, in(aad.data()), static_cast<int>(aad.size())) &&
        EVP_DecryptUpdate(c, out(record.to), &n, in(record.from), static_cast<int>(record.size)) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, cc::kTagBytes, tag.data()));
    return EVP_DecryptFinal_ex(c, out(tag.data()), &n) == 1;
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  static void require(bool done) {
    if (!done) fail(ErrorCode::system, "OpenSSL refused AES-256-GCM");
  }
  std::unique_ptr<EVP_CIPHER, Free> cipher_;
  std::unique_ptr<EVP_CIPHER_CTX, Free> sealing_, opening_;
};

}  // namespace lockstep::floors
