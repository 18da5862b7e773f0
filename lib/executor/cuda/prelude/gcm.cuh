// AES-256-GCM (NIST SP 800-38D) of one message by one block of threads: 0 bytes to 256 KiB, nonces
// of 96 bits, tags of 128.
//
// Where a message crosses, nobody is trusted, so nothing is read back and nothing twice: a byte of
// ciphertext is made in a register, hashed from there and stored once; or loaded once, hashed and
// decrypted from the register into private memory. What does not verify is wiped there.
//
// Ciphertext lies at 128 bytes, padded with zeros to a multiple of 16 that is stored but not
// hashed; the caller says where the tag lies, at 16 bytes. Plaintext may lie anywhere.
//
// A kernel calls, all threads of the block together:
//   prepareShared(shared)                                  at its beginning
//   sealMessage(key, counter, name, plain, out, tag, bytes, shared)
//   openMessage(key, counter, name, in, tag, plain, bytes, shared)
//   wipeShared(shared)                                     at its end
// Each returns after a barrier: what was put is ready for one thread to signal with release, and a
// message is opened once one thread has acquired its flag and the block has met.
#pragma once

#include "executor/cuda/prelude/sealing_key.cuh"

namespace lockstep::device {

/// Additional data of a record, as lockstep::host::RecordName: from the plan and call of whoever
/// seals or opens it.
struct alignas(16) RecordName {
  u8 digest[16] = {};  ///< of the plan
  u64 sequence = 0;    ///< of the call
  u64 count = 0;       ///< elements of the call
  u32 tile = 0;
  u32 index = 0;   ///< of the message under its key in the tile
  u32 record = 0;  ///< in the message
  short sender = 0;
  short receiver = 0;  ///< or -1 for the group
};
static_assert(sizeof(RecordName) == 48);

/// The nonce with this number: 4 zero bytes, then the number big-endian, as cc::nonceOf.
LOCKSTEP_INLINE NonceWords nonceOf(u64 number) {
  return {{0, swapBytes(static_cast<u32>(number >> 32)), swapBytes(static_cast<u32>(number))}};
}

// ---- private memory, at any alignment ----

/// What of a message of `bytes` is in its i-th 16 bytes: at most 16.
LOCKSTEP_INLINE u32 bytesOfBlock(u32 i, u32 bytes) {
  return bytes - 16 * i < 16 ? bytes - 16 * i : 16;
}
LOCKSTEP_INLINE bool isAligned(const void* at) {
  return reinterpret_cast<u64>(at) % 16 == 0;
}
/// `n` bytes, then zeros.
LOCKSTEP_INLINE Bits128 loadBytes(const u8* at, u32 n) {
  Bits128 v{};
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 16; ++i)
    if (i < n) v.word[i / 4] |= u32{at[i]} << i % 4 * 8;
  return v;
}
LOCKSTEP_INLINE void storeBytes(u8* at, const Bits128& v, u32 n) {
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 16; ++i)
    if (i < n) at[i] = static_cast<u8>(v.word[i / 4] >> i % 4 * 8);
}
/// The first `n` bytes; zeros for the rest.
LOCKSTEP_INLINE Bits128 firstBytes(Bits128 v, u32 n) {
  if (n == 16) return v;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 4; ++i)
    v.word[i] &= n >= 4 * i + 4 ? ~0u : n > 4 * i ? (1u << (n - 4 * i) * 8) - 1 : 0;
  return v;
}

/// Where a text comes from and goes to, 16 bytes at a time.
struct PrivateText {
  u8* at;
  u32 bytes;
  bool aligned;

  LOCKSTEP_INLINE PrivateText(const u8* memory, u32 size)
      : at(const_cast<u8*>(memory)), bytes(size), aligned(isAligned(memory)) {}
  LOCKSTEP_INLINE Bits128 get(u32 i) const {
    const u32 n = bytesOfBlock(i, bytes);
    return aligned && n == 16 ? load(at + 16 * i) : loadBytes(at + 16 * i, n);
  }
  LOCKSTEP_INLINE void put(u32 i, const Bits128& v) const {
    const u32 n = bytesOfBlock(i, bytes);
    if (aligned && n == 16)
      store(at + 16 * i, v);
    else
      storeBytes(at + 16 * i, v, n);
  }
};
struct SharedText {
  u8* at;
  u32 bytes;

  LOCKSTEP_INLINE Bits128 get(u32 i) const {
    return firstBytes(loadOnce(at + 16 * i), bytesOfBlock(i, bytes));
  }
  LOCKSTEP_INLINE void put(u32 i, const Bits128& v) const { storeOnce(at + 16 * i, v); }
};

// ---- the one pass over a message ----

/// A thread's part of the hash, by Horner's rule.
template <Cipher cipher>
struct Hash {
  const Multiplier<cipher>& stride;
  Element value{};

  LOCKSTEP_INLINE void take(const Bits128& block) {
    value = stride.times(value);
    LOCKSTEP_UNROLL
    for (u32 w = 0; w < 4; ++w) value.word[w] ^= swapBytes(block.word[w]);
  }
};

/// Encrypts or decrypts all of a message and makes its tag, which is shared.sum.place[0] until the
/// next barrier. Thread t takes blocks t, t + T, ..: additional data is blocks before 0, and behind
/// the text comes the block of lengths, whose pad is the tag's mask.
template <bool kSealing, Cipher cipher, class From, class To>
LOCKSTEP_INLINE Bits128 cryptMessage(const SealingKey& key, const NonceWords& nonce, const u8* aad,
                                     u32 aadBytes, const From& from, const To& to, u32 bytes,
                                     GcmShared<cipher>& shared) {
  const u32 blocks = (bytes + 15) / 16, aadBlocks = (aadBytes + 15) / 16, stride = threads();
  if (thread() == stride - 1) Aes<cipher>::startMessage(shared.aes, nonce);
  Hash<cipher> hash{shared.stride};
  const u32 before = (thread() + aadBlocks) / stride;  // of this thread's, in additional data
  for (u32 i = thread() + aadBlocks - before * stride; i < aadBlocks; i += stride)
    hash.take(loadBytes(aad + 16 * i, bytesOfBlock(i, aadBytes)));

  syncThreads();
  for (u32 first = thread(); first <= blocks; first += 2 * stride) {
    const u32 at[2] = {first, first + stride};
    Bits128 text[2] = {}, pad[2];
    LOCKSTEP_UNROLL
    for (u32 k = 0; k < 2; ++k)
      if (at[k] < blocks) text[k] = from.get(at[k]);
    Aes<cipher>::makePads(shared.aes, at[0] < blocks ? at[0] + 2 : 1,
                          at[1] < blocks ? at[1] + 2 : 1, pad);
    LOCKSTEP_UNROLL
    for (u32 k = 0; k < 2; ++k) {
      if (at[k] > blocks) break;
      Bits128 crosses{{0, swapBytes(aadBytes * 8), 0, swapBytes(bytes * 8)}};
      if (at[k] < blocks) {
        const Bits128 result = firstBytes(add(text[k], pad[k]), bytesOfBlock(at[k], bytes));
        to.put(at[k], result);
        crosses = kSealing ? result : text[k];
      } else {
        shared.mask = pad[k];
      }
      hash.take(crosses);
    }
  }
  // The last block that this thread took, or would have, is so far from the end.
  const u32 exponent = (blocks % stride + stride - thread()) % stride + 1;
  shared.sum.sum(multiply(hash.value, key.powers[exponent - 1]));
  Bits128 tag = shared.sum.place[0];
  for (u32 w = 0; w < 4; ++w) tag.word[w] = swapBytes(tag.word[w]) ^ shared.mask.word[w];
  return tag;
}

/// Zero if they are equal, in a time that does not tell where they differ.
LOCKSTEP_INLINE u32 difference(const Bits128& a, const Bits128& b) {
  return (a.word[0] ^ b.word[0]) | (a.word[1] ^ b.word[1]) | (a.word[2] ^ b.word[2]) |
         (a.word[3] ^ b.word[3]);
}

// ---- sealing and opening, by the block ----

/// Seals `bytes` of `plain` for `to`, an object like SharedText that also takes putTag(tag); every
/// thread puts what it made. The first form, for any nonce and additional data, is what the others
/// are made of: it takes the key as it is.
template <Cipher cipher, class To>
LOCKSTEP_INLINE void sealText(const SealingKey& key, const NonceWords& nonce, const u8* aad,
                              u32 aadBytes, const u8* plain, const To& to, u32 bytes,
                              GcmShared<cipher>& shared) {
  const Bits128 tag =
      cryptMessage<true>(key, nonce, aad, aadBytes, PrivateText(plain, bytes), to, bytes, shared);
  if (thread() == 0) to.putTag(tag);
  syncThreads();
}

/// A slot of one reader.
struct SlotText : SharedText {
  u8* tag;
  LOCKSTEP_INLINE void putTag(const Bits128& v) const { storeOnce(tag, v); }
};

template <Cipher cipher, class To>
LOCKSTEP_INLINE void sealMessage(SealingKey& key, u64 counter, const RecordName& name,
                                 const u8* plain, const To& to, u32 bytes,
                                 GcmShared<cipher>& shared) {
  useKey(key, counter, shared);
  sealText(key, nonceOf(counter), reinterpret_cast<const u8*>(&name), sizeof name, plain, to, bytes,
           shared);
}
/// `out`: of the slot, which may be a peer's memory; at 128 bytes, of `bytes` rounded up to 16.
template <Cipher cipher>
LOCKSTEP_INLINE void sealMessage(SealingKey& key, u64 counter, const RecordName& name,
                                 const u8* plain, u8* out, u8* tag, u32 bytes,
                                 GcmShared<cipher>& shared) {
  sealMessage(key, counter, name, plain, SlotText{{out, bytes}, tag}, bytes, shared);
}

/// Opens `bytes` of `in`, that may change under it, to `plain`, which is private. False, for all
/// threads: it does not verify, and `plain` is zeroed.
template <Cipher cipher>
[[nodiscard]] LOCKSTEP_INLINE bool openText(const SealingKey& key, const NonceWords& nonce,
                                            const u8* aad, u32 aadBytes, const u8* in,
                                            const u8* tag, u8* plain, u32 bytes,
                                            GcmShared<cipher>& shared) {
  const SharedText from{const_cast<u8*>(in), bytes};
  const PrivateText to(plain, bytes);
  const Bits128 expected = cryptMessage<false>(key, nonce, aad, aadBytes, from, to, bytes, shared);
  if (thread() == 0) shared.verified = difference(expected, loadOnce(tag)) == 0;
  syncThreads();
  const bool verified = shared.verified != 0;
  if (!verified)
    for (u32 i = thread(); 16 * i < bytes; i += threads()) to.put(i, Bits128{});
  syncThreads();
  return verified;
}

template <Cipher cipher>
[[nodiscard]] LOCKSTEP_INLINE bool openMessage(SealingKey& key, u64 counter, const RecordName& name,
                                               const u8* in, const u8* tag, u8* plain, u32 bytes,
                                               GcmShared<cipher>& shared) {
  useKey(key, counter, shared);
  return openText(key, nonceOf(counter), reinterpret_cast<const u8*>(&name), sizeof name, in, tag,
                  plain, bytes, shared);
}

}  // namespace lockstep::device
