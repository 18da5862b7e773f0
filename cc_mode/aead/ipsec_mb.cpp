// AES-256-GCM by intel-ipsec-mb's direct calls: the fastest there is on a CPU with VAES.
#include "cc_mode/aead/backend.hpp"

#ifdef LOCKSTEP_HAVE_IPSEC_MB

#include <cassert>

#include <intel-ipsec-mb.h>

#include "base/secret.hpp"

namespace lockstep::cc {
namespace {

/// The library leaves key stream of the last partial block in its context, so that is secret too.
struct State {
  gcm_key_data key;
  gcm_context_data context;
  Alive alive;
};

class IpsecMbKey final : public ExpandedKey {
 public:
  State& state() const { return *state_; }

 private:
  Secret<State> state_;  // at the start of a page: gcm_key_data wants 64 bytes of alignment
};

State& stateOf(ExpandedKey& key) {
  assert(dynamic_cast<IpsecMbKey*>(&key) != nullptr && "a key expanded by another Aead");
  return static_cast<IpsecMbKey&>(key).state();
}

const std::uint8_t* in(const std::byte* p) {
  return reinterpret_cast<const std::uint8_t*>(p);
}
std::uint8_t* out(std::byte* p) {
  return reinterpret_cast<std::uint8_t*>(p);
}

/// In constant time: nothing depends on where they differ, and the compiler may not look inside.
/// (CRYPTO_memcmp does it byte by byte: 4 % of opening a record of 1 KiB.)
bool equal(const Tag& a, const Tag& b) {
  std::uint64_t x[2], y[2];
  static_assert(sizeof x == kTagBytes);
  std::memcpy(x, a.data(), sizeof x);
  std::memcpy(y, b.data(), sizeof y);
  std::uint64_t difference = (x[0] ^ y[0]) | (x[1] ^ y[1]);
  asm("" : "+r"(difference));
  return difference == 0;
}

struct FreeManager {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

/// One manager serves all threads: the direct GCM calls go through its table of functions and touch
/// none of its job state; what they write is the key's own context.
class IpsecMb final : public Aead {
 public:
  explicit IpsecMb(Manager manager) : manager_(std::move(manager)) {}

  std::string_view name() const override { return "ipsec-mb AES-256-GCM"; }

  std::unique_ptr<ExpandedKey> expand(std::span<const std::byte, kKeyBytes> key) const override {
    auto expanded = std::make_unique<IpsecMbKey>();
    IMB_AES256_GCM_PRE(manager_.get(), key.data(), &expanded->state().key);
    expanded->state().alive = Alive::yes;
    return expanded;
  }

  void seal(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes plain,
            PrivateBytes cipher, Tag& tag) const override {
    checkSizes(aad, plain, cipher);
    checkPrivate(aad, plain, cipher, tag);
    State& state = stateOf(key);
    IMB_AES256_GCM_ENC(manager_.get(), &state.key, &state.context, out(cipher.data()),
                       in(plain.data()), plain.size(), in(nonce.data()), in(aad.data()), aad.size(),
                       out(tag.data()), kTagBytes);
    refuseIfForked(state.alive, cipher);
  }

  bool open(ExpandedKey& key, const Nonce& nonce, ConstPrivateBytes aad, ConstPrivateBytes cipher,
            const Tag& tag, PrivateBytes plain) const override {
    checkSizes(aad, cipher, plain);
    checkPrivate(aad, cipher, plain, tag);
    State& state = stateOf(key);
    Tag expected;
    IMB_AES256_GCM_DEC(manager_.get(), &state.key, &state.context, out(plain.data()),
                       in(cipher.data()), cipher.size(), in(nonce.data()), in(aad.data()),
                       aad.size(), out(expected.data()), kTagBytes);
    const bool genuine = equal(expected, tag);
    // The right tag of a forged record is what a forger wants: it does not stay on the stack.
    wipe(expected.data(), expected.size());
    if (!genuine && plain.size() > 0) wipe(plain.data(), plain.size());
    return genuine;
  }

 private:
  Manager manager_;
};

/// The library chose an implementation with AES instructions, and it passed its self-test.
bool isSound(IMB_MGR& manager) {
  constexpr std::uint64_t kNeeded =
      IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SELF_TEST_PASS;
  return imb_get_errno(&manager) == 0 && (manager.features & kNeeded) == kNeeded;
}

}  // namespace

std::shared_ptr<const Aead> createIpsecMb() {
  Manager manager(alloc_mb_mgr(0));
  if (!manager) return nullptr;
  init_mb_mgr_auto(manager.get(), nullptr);
  if (!isSound(*manager)) return nullptr;
  return std::make_shared<IpsecMb>(std::move(manager));
}

}  // namespace lockstep::cc

#else

namespace lockstep::cc {
std::shared_ptr<const Aead> createIpsecMb() {
  return nullptr;
}
}  // namespace lockstep::cc

#endif
