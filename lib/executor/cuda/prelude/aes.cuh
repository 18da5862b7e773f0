// AES-256 (FIPS 197) in counter mode: the pads that texts are XORed with, two blocks at a time.
//
// A block of AES is four words, one per column, row 0 in the lowest byte: what 16 bytes of memory
// are when a little-endian machine loads them.
//
// Here the cipher by tables. Bytes of a column go through SubBytes and MixColumns by one look-up:
// entry x is S[x] times the first column of MixColumns, (2, 1, 1, 3); for the other rows it is
// rotated. Every entry lies kBanks times in shared memory, so that lane i of a warp only ever
// touches bank i: no two lanes collide, and a look-up takes the same time whatever the secret is.
// The constant-time alternative, which looks nothing up, is aes_bitsliced.cuh.
#pragma once

#include "executor/cuda/prelude/platform.cuh"

namespace lockstep::device {

enum class Cipher : u8 { table, bitsliced };

inline constexpr u32 kRounds = 14;
inline constexpr u32 kRoundKeyWords = 4 * (kRounds + 1);

// ---- the S-box from its definition (FIPS 197, 5.1.1) ----

constexpr u32 timesX(u32 a) {
  return (a << 1 ^ (a >> 7) * 0x1b) & 0xff;
}
constexpr u32 multiplyBytes(u32 a, u32 b) {
  u32 product = 0;
  for (; b != 0; b >>= 1, a = timesX(a))
    if (b & 1) product ^= a;
  return product;
}
/// a^254, which is 1/a, and 0 for 0.
constexpr u32 invertByte(u32 a) {
  u32 result = 1;
  for (u32 i = 0; i < 7; ++i) {
    a = multiplyBytes(a, a);
    result = multiplyBytes(result, a);
  }
  return result;
}
constexpr u32 sBox(u32 a) {
  const u32 b = invertByte(a) * 0x101;
  return (b ^ b >> 4 ^ b >> 5 ^ b >> 6 ^ b >> 7 ^ 0x63) & 0xff;
}

struct AesTable {
  u32 entry[256];
};
constexpr AesTable makeAesTable() {
  AesTable table{};
  for (u32 x = 0; x < 256; ++x) {
    const u32 s = sBox(x);
    table.entry[x] = timesX(s) | s << 8 | s << 16 | (timesX(s) ^ s) << 24;
  }
  return table;
}
inline constexpr AesTable kAesTable = makeAesTable();

// ---- what both ciphers share ----

LOCKSTEP_INLINE u32 swapBytes(u32 x) {
  return x >> 24 | (x >> 8 & 0xff00) | (x << 8 & 0xff0000) | x << 24;
}

/// KeyExpansion (FIPS 197, 5.2) of 32 bytes by one thread. `subWord`: S-box of each byte of a word.
template <class SubWord>
inline void expandRoundKeys(const u8* raw, u32* words, SubWord subWord) {
  for (u32 i = 0; i < 8; ++i)
    words[i] = raw[4 * i] | u32{raw[4 * i + 1]} << 8 | u32{raw[4 * i + 2]} << 16 |
               u32{raw[4 * i + 3]} << 24;
  u32 constant = 1;
  for (u32 i = 8; i < kRoundKeyWords; ++i) {
    u32 word = words[i - 1];
    if (i % 8 == 0) {
      word = subWord(rotateRight(word, 8)) ^ constant;
      constant = timesX(constant);
    } else if (i % 8 == 4) {
      word = subWord(word);
    }
    words[i] = words[i - 8] ^ word;
  }
}

/// Three words of a counter block; the fourth is a counter of 32 bits, big-endian.
struct NonceWords {
  u32 word[3];
};

/// An interface of two implementations:
///   Shared                          what it keeps in shared memory
///   prepare(shared)                 once per kernel, by the block, before a barrier
///   expandKey(shared, raw, words)   by one thread
///   loadKey(shared, words)          by the block, before a barrier: the key of what follows
///   startMessage(shared, nonce)     by one thread, before a barrier for the others
///   makePads(shared, a, b, pads)    by each thread: of counters a and b, below 2^16
template <Cipher cipher>
struct Aes;

template <>
struct Aes<Cipher::table> {
  struct Shared {
    alignas(128) u32 table[256 * kBanks];
    Bits128 roundKeys[kRounds + 1];
    Bits128 second;  ///< of the message, see startMessage
    alignas(16) u32 first[2], counterKey;
  };

  LOCKSTEP_INLINE static void prepare(Shared& shared) {
    for (u32 i = thread(); i < 256 * kBanks; i += threads())
      shared.table[i] = kAesTable.entry[i / kBanks];
  }
  static void expandKey(const Shared& shared, const u8* raw, u32* words) {
    const Lookup lookup(shared);
    expandRoundKeys(raw, words, [&](u32 word) { return lookup.subBytes(word, word, word, word); });
  }
  LOCKSTEP_INLINE static void loadKey(Shared& shared, const u32* words) {
    for (u32 i = thread(); i < kRoundKeyWords; i += threads())
      shared.roundKeys[i / 4].word[i % 4] = words[i];
  }

  /// The calling thread's copy of the table.
  class Lookup {
   public:
    LOCKSTEP_INLINE explicit Lookup(const Shared& shared)
        : copy_(tableAddress(shared.table + thread() % kBanks)) {}

    /// What the byte in `row` of a column adds to the column that it is shifted to.
    LOCKSTEP_INLINE u32 mixed(u32 row, u32 word) const {
      const u32 e = entry(row, word);
      return row == 0 ? e : rotateRight(e, 32 - 8 * row);
    }
    /// A whole column: the rows of four words, shifted, substituted and mixed.
    LOCKSTEP_INLINE u32 column(u32 a, u32 b, u32 c, u32 d) const {
      return mixed(0, a) ^ mixed(1, b) ^ mixed(2, c) ^ mixed(3, d);
    }
    /// The same without mixing: an entry's bytes 1 and 2 are the S-box's.
    LOCKSTEP_INLINE u32 subBytes(u32 a, u32 b, u32 c, u32 d) const {
      return (entry(0, a) >> 8 & 0xff) | (entry(1, b) & 0xff00) | (entry(2, c) & 0xff0000) |
             (entry(3, d) << 8 & 0xff000000);
    }

   private:
    LOCKSTEP_INLINE u32 entry(u32 row, u32 word) const {
      return loadTable(copy_, byteOf(word, row) * (kBanks * 4));
    }

    TableAddress copy_;
  };

  /// Counters of a message differ in 16 bits only, rows 2 and 3 of column 3. They reach columns 1
  /// and 0 in the first round, so all but two look-ups of that round and half of those of the
  /// second are of the message, not of the block.
  LOCKSTEP_INLINE static void startMessage(Shared& shared, const NonceWords& nonce) {
    const Lookup t(shared);
    const Bits128 k0 = load(&shared.roundKeys[0]), k1 = load(&shared.roundKeys[1]),
                  k2 = load(&shared.roundKeys[2]);
    const u32 s0 = nonce.word[0] ^ k0.word[0], s1 = nonce.word[1] ^ k0.word[1],
              s2 = nonce.word[2] ^ k0.word[2], s3 = k0.word[3];
    const u32 t2 = k1.word[2] ^ t.column(s2, s3, s0, s1);
    const u32 t3 = k1.word[3] ^ t.column(s3, s0, s1, s2);
    shared.counterKey = s3;
    shared.first[0] = k1.word[0] ^ t.mixed(0, s0) ^ t.mixed(1, s1) ^ t.mixed(2, s2);
    shared.first[1] = k1.word[1] ^ t.mixed(0, s1) ^ t.mixed(1, s2) ^ t.mixed(3, s0);
    shared.second = {{k2.word[0] ^ t.mixed(2, t2) ^ t.mixed(3, t3),
                      k2.word[1] ^ t.mixed(1, t2) ^ t.mixed(2, t3),
                      k2.word[2] ^ t.mixed(0, t2) ^ t.mixed(1, t3),
                      k2.word[3] ^ t.mixed(0, t3) ^ t.mixed(3, t2)}};
  }

  LOCKSTEP_INLINE static void makePads(const Shared& shared, u32 a, u32 b, Bits128 (&pads)[2]) {
    const Lookup t(shared);
    pads[0] = secondRound(shared, t, a);
    pads[1] = secondRound(shared, t, b);
    for (u32 round = 3; round < kRounds; ++round) {
      const Bits128 key = load(&shared.roundKeys[round]);
      LOCKSTEP_UNROLL
      for (u32 i = 0; i < 2; ++i) {
        const Bits128 s = pads[i];
        LOCKSTEP_UNROLL
        for (u32 j = 0; j < 4; ++j)
          pads[i].word[j] = key.word[j] ^ t.column(s.word[j], s.word[(j + 1) % 4],
                                                   s.word[(j + 2) % 4], s.word[(j + 3) % 4]);
      }
    }
    const Bits128 key = load(&shared.roundKeys[kRounds]);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < 2; ++i) {
      const Bits128 s = pads[i];
      LOCKSTEP_UNROLL
      for (u32 j = 0; j < 4; ++j)
        pads[i].word[j] = key.word[j] ^ t.subBytes(s.word[j], s.word[(j + 1) % 4],
                                                   s.word[(j + 2) % 4], s.word[(j + 3) % 4]);
    }
  }

 private:
  /// The state after two rounds.
  LOCKSTEP_INLINE static Bits128 secondRound(const Shared& shared, const Lookup& t, u32 counter) {
    const Bits128 second = load(&shared.second);
    const u32 s3 = shared.counterKey ^ (counter << 24 | (counter & 0xff00) << 8);
    const u32 t0 = shared.first[0] ^ t.mixed(3, s3), t1 = shared.first[1] ^ t.mixed(2, s3);
    return {{second.word[0] ^ t.mixed(0, t0) ^ t.mixed(1, t1),
             second.word[1] ^ t.mixed(0, t1) ^ t.mixed(3, t0),
             second.word[2] ^ t.mixed(2, t0) ^ t.mixed(3, t1),
             second.word[3] ^ t.mixed(1, t0) ^ t.mixed(2, t1)}};
  }
};

}  // namespace lockstep::device
