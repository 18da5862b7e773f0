// An AEAD that writes down what it is used for, and what must be true of that.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/forwarding_aead.hpp"

namespace lockstep::testing {

using KeyBytes = std::array<std::byte, cc::kKeyBytes>;

/// One record sealed or opened.
struct Use {
  KeyBytes key{};
  cc::Nonce nonce{};
  std::vector<std::byte> aad;
  std::size_t bytes = 0;
  bool seals = false;
  bool good = true;              ///< opened, and verified
  const void* holder = nullptr;  ///< the expanded key: one per rank that holds it
  auto what() const { return std::tie(key, nonce, aad, bytes); }
};

/// All uses of all keys in this process. Threads may write at once.
class Ledger {
 public:
  void add(Use use) {
    const std::lock_guard lock(mutex_);
    uses_.push_back(std::move(use));
  }
  std::vector<Use> uses() const {
    const std::lock_guard lock(mutex_);
    return uses_;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return uses_.size();
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    uses_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Use> uses_;
};

inline std::string toString(const Use& use) {
  const auto hex = [](const auto& bytes) {
    std::string text;
    for (const std::byte b : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(b));
    return text;
  };
  return fmt::format("{} of {} bytes, key {}.., nonce {}, aad {}", use.seals ? "seal" : "open",
                     use.bytes, hex(use.key).substr(0, 8), hex(use.nonce), hex(use.aad));
}

/// A piece of the keystream of masked sums: nothing else is sealed under no name. All holders of
/// its key make the same.
inline bool isPad(const Use& use) {
  return use.seals && use.aad.empty();
}

inline std::set<KeyBytes> padKeysIn(const std::vector<Use>& uses) {
  std::set<KeyBytes> keys;
  for (const Use& use : uses)
    if (isPad(use)) keys.insert(use.key);
  return keys;
}

/// Of pads: none is made twice by one holder, who would use it twice; none is of another size for
/// another; and their keys do nothing else.
inline std::string padOffencesIn(const std::vector<Use>& uses) {
  const std::set<KeyBytes> keys = padKeysIn(uses);
  std::map<std::pair<KeyBytes, cc::Nonce>, std::size_t> sizes;
  std::set<std::tuple<KeyBytes, cc::Nonce, const void*>> made;
  std::string text;
  for (const Use& use : uses) {
    if (!keys.contains(use.key)) continue;
    if (!isPad(use))
      text += fmt::format("a key of pads does something else: {}\n", toString(use));
    else if (!made.emplace(use.key, use.nonce, use.holder).second)
      text += fmt::format("pad made twice: {}\n", toString(use));
    else if (sizes.try_emplace({use.key, use.nonce}, use.bytes).first->second != use.bytes)
      text += fmt::format("pad of two sizes: {}\n", toString(use));
  }
  return text;
}

/// What must never be: a (key, nonce) sealed twice, whoever did it (but for pads, which are as
/// padOffencesIn has it); a record opened twice by one holder; an opened record that nobody sealed
/// so. Empty if all is well.
inline std::string offencesIn(const std::vector<Use>& uses) {
  using KeyAndNonce = std::pair<KeyBytes, cc::Nonce>;
  std::map<KeyAndNonce, const Use*> sealed;
  std::map<std::pair<KeyAndNonce, const void*>, const Use*> opened;
  std::string text = padOffencesIn(uses);
  for (const Use& use : uses) {
    if (isPad(use)) continue;
    const KeyAndNonce name{use.key, use.nonce};
    if (use.seals && !sealed.try_emplace(name, &use).second)
      text += fmt::format("nonce used twice: {} and {}\n", toString(*sealed[name]), toString(use));
    if (!use.seals && use.good && !opened.try_emplace({name, use.holder}, &use).second)
      text += fmt::format("opened twice: {}\n", toString(use));
  }
  for (const auto& [name, use] : opened) {
    const auto origin = sealed.find(name.first);
    if (origin == sealed.end() || origin->second->what() != use->what())
      text += fmt::format("nobody sealed so: {}\n", toString(*use));
  }
  return text;
}

/// Seals and opens as another does, and tells the ledger.
class RecordingAead : public ForwardingAead {
 public:
  RecordingAead(std::shared_ptr<const cc::Aead> inner, Ledger& ledger)
      : ForwardingAead(std::move(inner)), ledger_(ledger) {}

  std::unique_ptr<cc::ExpandedKey> expand(
      std::span<const std::byte, cc::kKeyBytes> key) const override {
    auto recorded = std::make_unique<Key>();
    std::copy(key.begin(), key.end(), recorded->bytes.begin());
    recorded->inner = ForwardingAead::expand(key);
    return recorded;
  }

  void seal(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
            cc::ConstPrivateBytes plain, cc::PrivateBytes cipher, cc::Tag& tag) const override {
    auto& ours = dynamic_cast<Key&>(key);
    ForwardingAead::seal(*ours.inner, nonce, aad, plain, cipher, tag);
    record(ours, nonce, aad, plain.size(), true, true);
  }

  [[nodiscard]] bool open(cc::ExpandedKey& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad,
                          cc::ConstPrivateBytes cipher, const cc::Tag& tag,
                          cc::PrivateBytes plain) const override {
    auto& ours = dynamic_cast<Key&>(key);
    const bool good = ForwardingAead::open(*ours.inner, nonce, aad, cipher, tag, plain);
    record(ours, nonce, aad, plain.size(), false, good);
    return good;
  }

 private:
  struct Key final : cc::ExpandedKey {
    KeyBytes bytes{};
    std::unique_ptr<cc::ExpandedKey> inner;
  };

  void record(const Key& key, const cc::Nonce& nonce, cc::ConstPrivateBytes aad, std::size_t bytes,
              bool seals, bool good) const {
    ledger_.add({.key = key.bytes,
                 .nonce = nonce,
                 .aad = {aad.data(), aad.data() + aad.size()},
                 .bytes = bytes,
                 .seals = seals,
                 .good = good,
                 .holder = &key});
  }

  Ledger& ledger_;
};

}  // namespace lockstep::testing
