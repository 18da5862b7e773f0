// The keys that one rank of a sealed communicator holds, and how often each has been used.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/secret.hpp"
#include "cc_mode/aead/aead.hpp"
#include "cc_mode/masked/mask_keys.hpp"
#include "cc_mode/secure_pass.hpp"

namespace lockstep::cc {

/// Units (tiles) of a call that may be under way at once, and so the least that a key is kept for:
/// two keys at a time are then enough.
inline constexpr std::uint64_t kUnitsInFlight = 8;

/// floor(2^34.5): RFC 8446 section 5.5 allows 2^24.5 records of 2^14 bytes under one AES-GCM key.
inline constexpr std::uint64_t kMaxBlocks = 24'296'003'999;

/// One key with its nonce counter, and the epochs it goes through: after so many blocks it is
/// replaced by the next epoch's key (HKDF of this one), within a call too. Sender and receivers
/// count alike, from their plans. A call's units are numbered from 0; which epoch a unit belongs to
/// follows from the numbers given to `reserve`, now and before, and from nothing else. Nonces go on
/// counting in the next epoch.
class LiveKey {
 public:
  /// Replaced after `maxBlocks` blocks of 16 bytes, kMaxBlocks at most.
  LiveKey(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key,
          std::uint64_t maxBlocks = kMaxBlocks);

  /// Takes nonces for a call of `units`, each of at most `records` records of at most
  /// `recordBytes`, and returns the first: unit u has those from first + u * records on. Never
  /// given back, even when the operation fails. The call before is over, and its keys are gone.
  /// Throws invalidArgument for more than can be counted, having taken nothing.
  std::uint64_t reserve(std::uint64_t units, std::uint64_t records, std::size_t recordBytes);
  /// For a call of one unit.
  std::uint64_t reserve(std::uint64_t records, std::size_t recordBytes) {
    return reserve(1, records, recordBytes);
  }

  /// The key of a unit of the call that reserved last, at most kUnitsInFlight after the first one
  /// that is not `done`; and its epoch.
  ExpandedKey& of(std::uint64_t unit) {
    if (unit < turn_) [[likely]]
      return *expanded_;
    return nextFor(unit);
  }
  std::uint32_t epochOf(std::uint64_t unit) const { return unit < turn_ ? epoch_ : epoch_ + 1; }
  /// All units before `unit` are over: wipes the key that was for them alone, and makes the one
  /// after the next.
  void done(std::uint64_t unit) {
    while (unit >= turn_) turn();
  }
  /// The first unit of the next epoch, or kNever.
  std::uint64_t turnsAt() const { return turn_; }
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  /// Of the oldest unit under way.
  ExpandedKey& expanded() { return *expanded_; }
  std::uint32_t epoch() const { return epoch_; }
  /// What the next `reserve` will return.
  std::uint64_t nextNonce() const { return next_; }
  void replaceAfter(std::uint64_t maxBlocks) { maxBlocks_ = maxBlocks; }

 private:
  void spread(std::uint64_t units, std::uint64_t blocksPerUnit);
  ExpandedKey& nextFor(std::uint64_t unit);
  void expandNext();
  void turn();

  std::shared_ptr<const Aead> aead_;
  Secret<std::array<std::byte, kKeyBytes>> key_;  ///< of the newest epoch that was expanded
  std::unique_ptr<ExpandedKey> expanded_;
  std::unique_ptr<ExpandedKey> nextExpanded_;  ///< while a call crosses into the next epoch
  std::uint64_t maxBlocks_;
  std::uint64_t next_ = 0;    ///< nonce
  std::uint64_t blocks_ = 0;  ///< taken in the epoch in which the call ends
  std::uint32_t epoch_ = 0;   ///< of expanded_
  // Of the call under way, where it crosses into another epoch:
  std::uint64_t turn_ = kNever;
  std::uint64_t units_ = 0, unitsPerEpoch_ = 0;
};

/// All keys of a rank: for records to and from each peer, every rank's group key, and for control
/// messages to and from each peer.
class KeyRing {
 public:
  explicit KeyRing(std::shared_ptr<const Aead> aead) : aead_(std::move(aead)) {}
  const Aead& aead() const { return *aead_; }
  /// Keys of records are replaced after `bytes`, tags and what fills up blocks of 16 included; 0:
  /// after kMaxBlocks. Before any is used; the same number on all ranks.
  void replaceAfter(std::uint64_t bytes);
  /// The same as LiveKey counts it.
  std::uint64_t maxBlocks() const { return maxBlocks_; }
  void add(KeyName name, std::span<const std::byte, kKeyBytes> key);
  /// Throws internal for a key this rank does not hold.
  LiveKey& at(KeyName name);
  /// The same for the keys of control messages.
  void addControl(KeyName name, std::span<const std::byte, kKeyBytes> key);
  LiveKey& control(KeyName name);

  void addMasks(Secret<MaskKeys> masks) { masks_ = std::move(masks); }
  /// Those of masked sums, if the mode has any; they are not kept here any longer.
  std::optional<Secret<MaskKeys>> takeMasks() { return std::exchange(masks_, std::nullopt); }

 private:
  using Keys = std::map<KeyName, LiveKey>;
  void add(Keys& keys, KeyName name, std::span<const std::byte, kKeyBytes> key);
  static LiveKey& find(Keys& keys, KeyName name);

  std::shared_ptr<const Aead> aead_;
  std::uint64_t maxBlocks_ = kMaxBlocks;
  Keys keys_, control_;
  std::optional<Secret<MaskKeys>> masks_;
};

}  // namespace lockstep::cc
