// AES-256-GCM by OpenSSL: everywhere, and on every architecture.
#include <cassert>

#include <openssl/evp.h>

#include "base/secret.hpp"
#include "cc_mode/aead/backend.hpp"

namespace lockstep::cc {
namespace {

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

enum Direction : int { decrypt = 0, encrypt = 1 };  // as EVP_CipherInit_ex2 numbers them

const unsigned char* in(const std::byte* p) {
  return reinterpret_cast<const unsigned char*>(p);
}
unsigned char* out(std::byte* p) {
  return reinterpret_cast<unsigned char*>(p);
}

void require(bool done) {
  if (!done) [[unlikely]]
    fail(ErrorCode::system,
         "OpenSSL refused AES-256-GCM; is its provider configuration (openssl.cnf) broken?");
}

/// The key schedule is made once; each record sets only the nonce. It lives in memory of OpenSSL,
/// which zeroes it when it is freed.
class OpensslKey final : public ExpandedKey {
 public:
  explicit OpensslKey(Context context) : context_(std::move(context)) {}
  EVP_CIPHER_CTX* context() const { return context_.get(); }

 private:
  Context context_;
};

EVP_CIPHER_CTX* contextOf(ExpandedKey& key) {
  assert(dynamic_cast<OpensslKey*>(&key) != nullptr && "a key expanded by another Aead");
  return static_cast<OpensslKey&>(key).context();
}

/// Begins a record: direction, nonce, additional data.
void begin(EVP_CIPHER_CTX* context, Direction direction, const Nonce& nonce,
           ConstPrivateBytes aad) {
  require(EVP_CipherInit_ex2(context, nullptr, nullptr, in(nonce.data()), direction, nullptr));
  int n = 0;
  if (aad.size() > 0)
    require(EVP_CipherUpdate(context, nullptr, &n, in(aad.data()), static_cast<int>(aad.size())));
}

void transform(EVP_CIPHER_CTX* context, ConstPrivateBytes from, PrivateBytes to) {
  int n = 0;
  if (from.size() > 0)
    require(EVP_CipherUpdate(context, out(to.data()), &n, in(from.data()),
                             static_cast<int>(from.size())));
}

/// GCM writes nothing at the end, but OpenSSL wants a place to write it to.
bool end(EVP_CIPHER_CTX* context) {
  unsigned char nothing[kTagBytes];
  int n = 0;
  return EVP_CipherFinal_ex(context, nothing, &n) == 1;
}

class Openssl final : public Aead {
 public:
  explicit Openssl(Cipher cipher) : cipher_(std::move(cipher)) {}

  std::string_view name() const override { return "OpenSSL AES-256-GCM"; }

  std::unique_ptr<ExpandedKey> expand(std::span<const std::byte, kKeyBytes> key) const override {
    Context context(EVP_CIPHER_CTX_new());
    require(context != nullptr && EVP_CipherInit_ex2(context.get(), cipher_.get(), in(key.data()),
                                                     nullptr, encrypt, nullptr));
    return std::make_unique<OpensslKey>(std::move(context));
  }

  void seal(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes plain,
            PrivateBytes cipher, Tag& tag) const override {
    checkSizes(aad, plain, cipher);
    EVP_CIPHER_CTX* context = contextOf(key);
    begin(context, encrypt, nonce, aad);
    transform(context, plain, cipher);
    require(end(context) &&
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()));
  }

  bool open(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes cipher,
            const Tag& tag, PrivateBytes plain) const override {
    checkSizes(aad, cipher, plain);
    EVP_CIPHER_CTX* context = contextOf(key);
    begin(context, decrypt, nonce, aad);
    transform(context, cipher, plain);
    Tag expected = tag;  // OpenSSL takes it through a pointer to non-const
    require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, expected.data()));
    const bool genuine = end(context);  // compares in constant time
    if (!genuine && plain.size() > 0) wipe(plain.data(), plain.size());
    return genuine;
  }

 private:
  Cipher cipher_;
};

}  // namespace

std::shared_ptr<const Aead> createOpenssl() {
  Cipher cipher(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  if (!cipher) return nullptr;
  return std::make_shared<Openssl>(std::move(cipher));
}

}  // namespace lockstep::cc
