// An AEAD that passes everything on to another: a test overrides what it wants to see or to go
// wrong.
#pragma once

#include <memory>
#include <utility>

#include "cc_mode/aead/aead.hpp"

namespace lockstep::testing {

class ForwardingAead : public cc::Aead {
 public:
  explicit ForwardingAead(std::shared_ptr<const cc::Aead> inner) : inner_(std::move(inner)) {}

  std::string_view name() const override { return inner_->name(); }
  std::unique_ptr<cc::ExpandedKey> expand(
      std::span<const std::byte, cc::kKeyBytes> key) const override {
    return inner_->expand(key);
  }
  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    inner_->seal(key, nonce, aad, plain, cipher, tag);
  }
  [[nodiscard]] bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
                          cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                          cc::PrivateBytes plain) const override {
    return inner_->open(key, nonce, aad, cipher, tag, plain);
  }

 private:
  std::shared_ptr<const cc::Aead> inner_;
};

}  // namespace lockstep::testing
