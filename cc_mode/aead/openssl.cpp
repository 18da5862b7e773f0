// AES-256-GCM by OpenSSL: everywhere, and on every architecture.
#include <algorithm>
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

/// OpenSSL keeps a key schedule on its own heap, which is dumped and forked like any other. So the
/// key rests here, and is expanded for each record (README.md says what that costs).
class OpensslKey final : public ExpandedKey {
 public:
  OpensslKey(Context context, std::span<const std::byte, kKeyBytes> key)
      : context_(std::move(context)) {
    std::copy(key.begin(), key.end(), state_->key.begin());
    state_->alive = Alive::yes;
  }
  EVP_CIPHER_CTX* context() const { return context_.get(); }
  const unsigned char* bytes() const { return in(state_->key.data()); }
  Alive alive() const { return state_->alive; }

 private:
  struct State {
    std::array<std::byte, kKeyBytes> key;
    Alive alive;
  };
  Context context_;
  Secret<State> state_;
};

const OpensslKey& keyOf(const ExpandedKey& key) {
  assert(dynamic_cast<const OpensslKey*>(&key) != nullptr && "a key expanded by another Aead");
  return static_cast<const OpensslKey&>(key);
}

/// One record: puts its key into the context, and a key of zeros in its place at the end. OpenSSL
/// clears the powers of H and the key stream along with that.
class Record {
 public:
  Record(ExpandedKey& key, Direction direction, const Nonce& nonce, ConstPrivateBytes aad) {
    const OpensslKey& ours = keyOf(key);
    context_ = ours.context();
    require(
        EVP_CipherInit_ex2(context_, nullptr, ours.bytes(), in(nonce.data()), direction, nullptr));
    int n = 0;
    if (aad.size() > 0 &&
        !EVP_CipherUpdate(context_, nullptr, &n, in(aad.data()), static_cast<int>(aad.size()))) {
      forget();
      require(false);
    }
  }
  ~Record() { forget(); }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;

  EVP_CIPHER_CTX* context() const { return context_; }

 private:
  void forget() const {
    static constexpr unsigned char kZeros[kKeyBytes] = {};
    EVP_CipherInit_ex2(context_, nullptr, kZeros, nullptr, encrypt, nullptr);
  }
  EVP_CIPHER_CTX* context_;
};

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
    require(context != nullptr &&
            EVP_CipherInit_ex2(context.get(), cipher_.get(), nullptr, nullptr, encrypt, nullptr));
    return std::make_unique<OpensslKey>(std::move(context), key);
  }

  void seal(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes plain,
            PrivateBytes cipher, Tag& tag) const override {
    checkSizes(aad, plain, cipher);
    checkPrivate(aad, plain, cipher, tag);
    const Record record(key, encrypt, nonce, aad);
    transform(record.context(), plain, cipher);
    require(end(record.context()) &&
            EVP_CIPHER_CTX_ctrl(record.context(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()));
    refuseIfForked(keyOf(key).alive(), cipher);
  }

  bool open(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes cipher,
            const Tag& tag, PrivateBytes plain) const override {
    checkSizes(aad, cipher, plain);
    checkPrivate(aad, cipher, plain, tag);
    const Record record(key, decrypt, nonce, aad);
    transform(record.context(), cipher, plain);
    Tag expected = tag;  // OpenSSL takes it through a pointer to non-const
    require(
        EVP_CIPHER_CTX_ctrl(record.context(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, expected.data()));
    const bool genuine = end(record.context());  // compares in constant time
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
