// Keys of lanes: how they are derived, made ready and renewed, on the device.
//
// The host gives one 256-bit key per pair and direction, or per sender and group: the source. The
// key of a lane and an epoch is the first 32 bytes that AES-256 in counter mode makes under it:
//   key = AES(source, L || 2) || AES(source, L || 3),  L = "lk" || lane (2 bytes) || epoch (8
//   bytes)
// with all numbers big-endian and the counter in 4 bytes; that is AES-256-GCM of 32 zero bytes with
// the nonce L, so that any library can check it. It is NIST SP 800-108's counter mode with one
// block cipher call for its PRF, whose input of fixed length holds label, context and counter, so
// that no two calls have the same. A source is uniform and used for nothing else; as a permutation
// AES differs from a random function by n^2 / 2^129 after n calls, and n is 2 per lane and epoch.
// Knowing a derived key says nothing of another.
//
// The epoch is the message's counter divided by kMessagesPerEpoch, whatever happened before: both
// ends agree without a word, in any order of messages. It is renewed in time for 2^34.5 blocks per
// key (TLS 1.3's bound, RFC 8446, 5.5): 2^20 messages of at most 2^14 + 1 blocks.
#pragma once

#include "executor/cuda/prelude/aes.cuh"
#include "executor/cuda/prelude/aes_bitsliced.cuh"
#include "executor/cuda/prelude/ghash.cuh"
#include "executor/cuda/prelude/layout.cuh"

#ifndef LOCKSTEP_MESSAGES_PER_EPOCH  // tests make it small
#define LOCKSTEP_MESSAGES_PER_EPOCH (1ull << 20)
#endif

namespace lockstep::device {

inline constexpr u64 kMessagesPerEpoch = LOCKSTEP_MESSAGES_PER_EPOCH;
inline constexpr u32 kKeyBytes = 32;
inline constexpr u32 kMaxMessageBytes = 256 << 10;
static_assert(kMaxMessageBytes / 16 + 2 < 1 << 16, "Aes::makePads takes counters of 16 bits");
#ifdef LOCKSTEP_THREADS
static_assert(LOCKSTEP_THREADS <= kMaxBlockThreads);
#endif

/// A key made ready. In private device memory, used by one lane in one direction.
struct alignas(16) SealingKey {
  Element powers[kMaxBlockThreads];  ///< H, H^2, ..
  u32 roundKeys[kRoundKeyWords];
  u32 lane;
  u8 source[kKeyBytes];
  u64 epoch;
};

/// Multiplication by one element: by tables, or else without a look-up.
template <Cipher cipher>
struct Multiplier : Products {};
template <>
struct Multiplier<Cipher::bitsliced> {
  Element factor;

  LOCKSTEP_INLINE void prepare(const Element& e) {
    if (thread() == 0) factor = e;
  }
  LOCKSTEP_INLINE Element times(const Element& e) const { return multiply(e, load(&factor)); }
};

/// The block's shared memory while it seals and opens.
template <Cipher cipher>
struct GcmShared {
  typename Aes<cipher>::Shared aes;
  Multiplier<cipher> stride;  ///< times H^threads()
  BlockSum sum;
  Element mask;  ///< what the tag is XORed with
  /// Whose round keys and products these are, and of which epoch.
  const SealingKey* key;
  u64 epoch;
  u32 verified;
  u8 raw[kKeyBytes];
};
// Static shared memory is 48 KiB at most (CUDA C++ Programming Guide, "Compute Capabilities"); the
// rest is the lane's.
static_assert(sizeof(GcmShared<Cipher::table>) <= 43 << 10);

/// A key of this rank; `number` as Lane::keyOf counts them.
inline SealingKey& keyAt(const World& world, u32 lane, u32 number) {
  return world.keys[u64{lane} * 3 * world.geometry.world + number];
}

/// Makes shared memory ready; once per kernel, by the block.
template <Cipher cipher>
inline void prepareShared(GcmShared<cipher>& shared) {
  Aes<cipher>::prepare(shared.aes);
  if (thread() == 0) shared.key = nullptr;
  syncThreads();
}

/// Leaves nothing of a key in shared memory, where the next kernel could find it. Once per kernel,
/// at its end, by the block.
template <Cipher cipher>
inline void wipeShared(GcmShared<cipher>& shared) {
  syncThreads();
  volatile u32* words = reinterpret_cast<volatile u32*>(&shared);
  for (u32 i = thread(); i < sizeof shared / sizeof *words; i += threads()) words[i] = 0;
  syncThreads();
}

/// Makes `shared.raw` the key that `key` is, and forgets it. By the block.
template <Cipher cipher>
LOCKSTEP_NOINLINE void expandRawKey(SealingKey& key, GcmShared<cipher>& shared) {
  if (thread() == 0) {
    Aes<cipher>::expandKey(shared.aes, shared.raw, key.roundKeys);
    for (u32 i = 0; i < kKeyBytes; ++i) static_cast<volatile u8*>(shared.raw)[i] = 0;
    shared.key = nullptr;
  }
  syncThreads();
  Aes<cipher>::loadKey(shared.aes, key.roundKeys);
  syncThreads();
  if (thread() == 0) {
    Bits128 pads[2];  // AES of 0 is H
    Aes<cipher>::startMessage(shared.aes, NonceWords{});
    Aes<cipher>::makePads(shared.aes, 0, 0, pads);
    for (u32& word : pads[0].word) word = swapBytes(word);
    key.powers[0] = pads[0];
  }
  // From n powers the next n: each times the n-th.
  for (u32 known = 1; known < kMaxBlockThreads; known *= 2) {
    syncThreads();
    for (u32 i = thread(); i < known; i += threads())
      key.powers[known + i] = multiply(key.powers[i], key.powers[known - 1]);
  }
  syncThreads();
}

/// Makes `raw` itself the key, for messages of epoch 0. By the block.
template <Cipher cipher>
inline void prepareKey(SealingKey& key, const u8* raw, GcmShared<cipher>& shared) {
  for (u32 i = thread(); i < kKeyBytes; i += threads()) shared.raw[i] = raw[i];
  if (thread() == 0) key.epoch = 0;
  syncThreads();
  expandRawKey(key, shared);
}

/// Derives the key of the epoch from its source. By the block.
template <Cipher cipher>
LOCKSTEP_NOINLINE void enterEpoch(SealingKey& key, u64 epoch, GcmShared<cipher>& shared) {
  syncThreads();  // all have seen which epoch it was
  if (thread() == 0) {
    key.epoch = epoch;
    Aes<cipher>::expandKey(shared.aes, key.source, key.roundKeys);
  }
  syncThreads();
  Aes<cipher>::loadKey(shared.aes, key.roundKeys);
  syncThreads();
  if (thread() == 0) {
    const NonceWords label{{'l' | 'k' << 8 | swapBytes(key.lane),
                            swapBytes(static_cast<u32>(epoch >> 32)),
                            swapBytes(static_cast<u32>(epoch))}};
    Bits128 pads[2];
    Aes<cipher>::startMessage(shared.aes, label);
    Aes<cipher>::makePads(shared.aes, 2, 3, pads);
    for (u32 i = 0; i < kKeyBytes; ++i)
      shared.raw[i] = static_cast<u8>(pads[i / 16].word[i / 4 % 4] >> i % 4 * 8);
  }
  syncThreads();
  expandRawKey(key, shared);
}

/// Makes the key of `lane` out of `source`, 32 bytes. By the block.
template <Cipher cipher>
inline void prepareLaneKey(SealingKey& key, const u8* source, u32 lane, GcmShared<cipher>& shared) {
  for (u32 i = thread(); i < kKeyBytes; i += threads()) key.source[i] = source[i];
  if (thread() == 0) key.lane = lane;
  enterEpoch(key, 0, shared);
}

/// Moves the key to the epoch of the message with this counter, and its round keys and products
/// into shared memory, if they are not there. By the block.
template <Cipher cipher>
LOCKSTEP_INLINE void useKey(SealingKey& key, u64 counter, GcmShared<cipher>& shared) {
  const u64 epoch = counter / kMessagesPerEpoch;
  if (shared.key == &key && shared.epoch == epoch) return;
  if (key.epoch != epoch) enterEpoch(key, epoch, shared);
  syncThreads();
  Aes<cipher>::loadKey(shared.aes, key.roundKeys);
  shared.stride.prepare(key.powers[threads() - 1]);
  if (thread() == 0) {
    shared.key = &key;
    shared.epoch = epoch;
  }
  syncThreads();
}

}  // namespace lockstep::device
