#include "cc_mode/keys/key_ring.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "cc_mode/keys/hkdf.hpp"

namespace lockstep::cc {
namespace {

/// floor(2^34.5): RFC 8446 section 5.5 allows 2^24.5 records of 2^14 bytes under one AES-GCM key.
constexpr std::uint64_t kMaxBlocks = 24'296'003'999;
constexpr std::size_t kBlockBytes = 16;

/// AES blocks of one record: its data, and one for the tag.
constexpr std::uint64_t blocksOf(std::size_t recordBytes) {
  return recordBytes / kBlockBytes + (recordBytes % kBlockBytes != 0) + 1;
}

/// Key pages are wiped on fork, so a zero key says that this process is a forked child. It must not
/// go on: it would seal under a key that everyone knows.
void refuseInForkedChild(std::span<const std::byte, kKeyBytes> key) {
  if (std::all_of(key.begin(), key.end(), [](std::byte b) { return b == std::byte{0}; }))
      [[unlikely]]
    fail(ErrorCode::invalidArgument,
         "this communicator belongs to the parent process and its keys do not survive a fork: "
         "create a communicator in the child");
}

}  // namespace

LiveKey::LiveKey(std::shared_ptr<const Aead> aead, std::span<const std::byte, kKeyBytes> key)
    : aead_(std::move(aead)) {
  std::copy(key.begin(), key.end(), key_->begin());
  expanded_ = aead_->expand(*key_);
}

std::uint64_t LiveKey::reserve(std::uint64_t records, std::size_t recordBytes) {
  refuseInForkedChild(*key_);
  std::uint64_t blocks = 0;
  if (__builtin_mul_overflow(records, blocksOf(recordBytes), &blocks) || blocks > kMaxBlocks)
    fail(ErrorCode::invalidArgument,
         "{} records of {} bytes are more than one key may protect ({} blocks of 16 bytes, about "
         "389 GB): split the message into smaller calls",
         records, recordBytes, kMaxBlocks);
  if (blocks > kMaxBlocks - blocks_) nextEpoch();
  blocks_ += blocks;
  return std::exchange(next_, next_ + records);
}

void LiveKey::nextEpoch() {
  Secret<std::array<std::byte, kKeyBytes>> next;
  hkdfExpand(*key_, bytesOf("lockstep next epoch"), *next);
  expanded_ = aead_->expand(*next);
  *key_ = *next;  // and the old key is gone: who steals this one cannot read what came before
  next_ = 0;
  blocks_ = 0;
  ++epoch_;
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
  if (!keys.try_emplace(name, aead_, key).second)
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
