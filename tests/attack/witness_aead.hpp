// A cipher that remembers what it sealed, counts what it was given to open that nobody sealed so,
// and can be told to let that pass: what would happen if nobody compared tags.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "attack/shared_view.hpp"
#include "support/forwarding_aead.hpp"

namespace lockstep::testing {

enum class TagCheck : std::uint8_t { on, off };

/// Of one thread.
struct Witness {
  struct Sealed {
    Bytes cipher;
    cc::Tag tag;
  };
  std::vector<Sealed> sealed;
  int forged = 0;  ///< records that were opened and did not verify
  TagCheck check = TagCheck::on;
};

class WitnessAead final : public ForwardingAead {
 public:
  WitnessAead(std::shared_ptr<const cc::Aead> inner, Witness& witness)
      : ForwardingAead(std::move(inner)), witness_(witness) {}

  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    ForwardingAead::seal(key, nonce, aad, plain, cipher, tag);
    witness_.sealed.push_back({{cipher.data(), cipher.data() + cipher.size()}, tag});
  }
  [[nodiscard]] bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
                          cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                          cc::PrivateBytes plain) const override {
    const Bytes copy(cipher.data(), cipher.data() + cipher.size());
    if (ForwardingAead::open(key, nonce, aad, cipher, tag, plain)) return true;
    ++witness_.forged;
    if (witness_.check == TagCheck::on) return false;
    // In counter mode to encrypt once more is to decrypt.
    cc::Tag ignored;
    ForwardingAead::seal(key, nonce, aad, cc::ConstPrivateBytes(copy.data(), copy.size()), plain,
                         ignored);
    return true;
  }

 private:
  Witness& witness_;
};

}  // namespace lockstep::testing
