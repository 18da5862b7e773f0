#include "cc_mode/keys/key_ring.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/fail.hpp"
#include "cc_mode/forked.hpp"
#include "cc_mode/keys/hkdf.hpp"

namespace lockstep::cc {
namespace {

constexpr std::size_t kBlockBytes = 16;

/// AES blocks of one record: its data, and one for the tag.
constexpr std::uint64_t blocksOf(std::size_t recordBytes) {
  return recordBytes / kBlockBytes + (recordBytes % kBlockBytes != 0) + 1;
}

/// Units of a call that may be under way together; a key has room for them.
constexpr std::uint64_t atOnce(std::uint64_t units) {
  return std::clamp<std::uint64_t>(units, 1, kUnitsInFlight);
}

/// Key pages are wiped on fork, so a zero key says that this process is a forked child. It must not
/// go on: it would seal under a key that everyone knows.
void refuseInForkedChild(std::span<const std::byte, kKeyBytes> key) {
  if (std::all_of(key.begin(), key.end(), [](std::byte b) { return b == std::byte{0}; }))
      [[unlikely]]
    refuseForkedChild();
}

}  // namespace

LiveKey::LiveKey(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key,
                 std::uint64_t maxBlocks)
    : aead_(std::move(aead)), maxBlocks_(maxBlocks) {
  std::copy(key.begin(), key.end(), key_->begin());
  expanded_ = aead_->expand(*key_);
}

std::uint64_t LiveKey::reserve(std::uint64_t units, std::uint64_t records,
                               std::size_t recordBytes) {
  refuseInForkedChild(*key_);
  std::uint64_t perUnit = 0, nonces = 0, after = 0;
  if (__builtin_mul_overflow(records, blocksOf(recordBytes), &perUnit) ||
      perUnit > kMaxBlocks / atOnce(units) || __builtin_mul_overflow(units, records, &nonces) ||
      __builtin_add_overflow(next_, nonces, &after))
    fail(ErrorCode::invalidArgument,
         "{} times {} records of {} bytes are more than a key can count: split the message into "
         "smaller calls",
         units, records, recordBytes);
  while (turn_ != kNever) turn();  // the call before was given up
  std::uint64_t blocks = 0;
  if (__builtin_mul_overflow(units, perUnit, &blocks) ||
      __builtin_add_overflow(blocks, blocks_, &blocks) || blocks > maxBlocks_) [[unlikely]]
    spread(units, perUnit);
  else
    blocks_ = blocks;
  return std::exchange(next_, after);
}

/// More units than this epoch has room for: the first of them in this one, if any, then as many as
/// fit in each that follows.
void LiveKey::spread(std::uint64_t units, std::uint64_t blocksPerUnit) {
  const std::uint64_t most = std::max(maxBlocks_, atOnce(units) * blocksPerUnit);
  unitsPerEpoch_ = most / blocksPerUnit;
  units_ = units;
  std::uint64_t here = blocks_ < maxBlocks_ ? (maxBlocks_ - blocks_) / blocksPerUnit : 0;
  if (blocks_ == 0) here = unitsPerEpoch_;
  if (here == 0) {
    expandNext();
    turn_ = 0;
    turn();
  } else if (here < units) {
    expandNext();
    turn_ = here;
  }
  const std::uint64_t inLast = here < units ? (units - here - 1) % unitsPerEpoch_ + 1 : units;
  blocks_ = inLast * blocksPerUnit + (here < units ? 0 : blocks_);
}

/// What a unit is sealed under must never be in doubt: who asks too far ahead gets no key.
ExpandedKey& LiveKey::nextFor(std::uint64_t unit) {
  if (unit - turn_ >= unitsPerEpoch_)
    fail(ErrorCode::internal, "unit {} of {} has no key: the next epoch is of {} from {} on", unit,
         units_, unitsPerEpoch_, turn_);
  return *nextExpanded_;
}

void LiveKey::expandNext() {
  if (epoch_ == std::numeric_limits<std::uint32_t>::max())
    fail(ErrorCode::invalidArgument,
         "a key has gone through all its epochs: create a new "
         "communicator");
  Secret<std::array<std::byte, kKeyBytes>> next;
  hkdfExpand(*key_, bytesOf("lockstep next epoch"), *next);
  auto expanded = aead_->expand(*next);
  refuseInForkedChild(*key_);  // forked by now, `next` may be made of zeros, or be zeros
  nextExpanded_ = std::move(expanded);
  *key_ = *next;  // and the old key is gone: who steals this one cannot read what came before
}

void LiveKey::turn() {
  expanded_ = std::move(nextExpanded_);
  ++epoch_;
  const std::uint64_t at = std::exchange(turn_, kNever);
  if (units_ - at <= unitsPerEpoch_) return;
  expandNext();
  turn_ = at + unitsPerEpoch_;
}

void KeyRing::replaceAfter(std::uint64_t bytes) {
  maxBlocks_ = bytes == 0 ? kMaxBlocks : std::min<std::uint64_t>(bytes / kBlockBytes, kMaxBlocks);
  for (auto& [name, key] : keys_) key.replaceAfter(maxBlocks_);
}

void KeyRing::add(KeyName name, std::span<const std::byte, kKeyBytes> key) {
  add(keys_, name, key);
}

LiveKey& KeyRing::at(KeyName name) {
  return find(keys_, name);
}

void KeyRing::addControl(KeyName name, std::span<const std::byte, kKeyBytes> key) {
  add(control_, name, key);
}

LiveKey& KeyRing::control(KeyName name) {
  return find(control_, name);
}

void KeyRing::add(Keys& keys, KeyName name, std::span<const std::byte, kKeyBytes> key) {
  if (!keys.try_emplace(name, aead_, key, maxBlocks_).second)
    fail(ErrorCode::internal, "the key from rank {} to {} was added twice", name.sender,
         name.receiver);
}

LiveKey& KeyRing::find(Keys& keys, KeyName name) {
  const auto found = keys.find(name);
  if (found == keys.end())
    fail(ErrorCode::internal, "this rank holds no key from rank {} to {}", name.sender,
         name.receiver);
  return found->second;
}

}  // namespace lockstep::cc
