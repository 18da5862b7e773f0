// AES-256 in constant time whatever the machine: no address and no branch depends on a secret.
//
// Two blocks at once in 8 words: word i has bit i of all 32 bytes (a "slice"). Bit 8 r + 2 c + b of
// a slice is of block b's byte in row r and column c, so that MixColumns turns words by bytes and
// ShiftRows turns the bits of bytes.
//
// SubBytes inverts in a tower of fields, GF(2) < GF(4) < GF(16) < GF(256), each got from the one
// below by a root of t^2 + t + n:
//   GF(4): w^2 = w + 1       GF(16): x^2 = x + w       GF(256): y^2 = y + w x
// (irreducible, as n has trace 1 in each). For a = h t + l the conjugate is h t + (h + l), so the
// norm is d = h^2 n + h l + l^2 in the field below, and 1/a = (h t + (h + l)) / d: one inversion in
// the field below and three products. AES's field is mapped into the tower by a root of its own
// polynomial; the maps there and back are found by the compiler. (Itoh and Tsujii 1988; the idea of
// using it for AES is Rijmen's.)
#pragma once

#include "executor/cuda/prelude/aes.cuh"

namespace lockstep::device {

// ---- the tower: elements whose coefficients are slices, so as many elements as a slice has bits
// --

struct Gf4 {
  u32 high, low;
};
struct Gf16 {
  Gf4 high, low;
};
struct Gf256 {
  Gf16 high, low;
};

LOCKSTEP_INLINE constexpr Gf4 add(Gf4 a, Gf4 b) {
  return {a.high ^ b.high, a.low ^ b.low};
}
LOCKSTEP_INLINE constexpr Gf4 square(Gf4 a) {
  return {a.high, a.high ^ a.low};
}
LOCKSTEP_INLINE constexpr Gf4 timesW(Gf4 a) {
  return {a.high ^ a.low, a.high};
}
LOCKSTEP_INLINE constexpr Gf4 multiply(Gf4 a, Gf4 b) {
  const u32 top = a.high & b.high;
  return {top ^ (a.high & b.low) ^ (a.low & b.high), top ^ (a.low & b.low)};
}
/// 1/a = a^2, as a^3 = 1.
LOCKSTEP_INLINE constexpr Gf4 invert(Gf4 a) {
  return square(a);
}

LOCKSTEP_INLINE constexpr Gf16 add(Gf16 a, Gf16 b) {
  return {add(a.high, b.high), add(a.low, b.low)};
}
LOCKSTEP_INLINE constexpr Gf16 square(Gf16 a) {
  const Gf4 h = square(a.high);
  return {h, add(timesW(h), square(a.low))};
}
LOCKSTEP_INLINE constexpr Gf16 multiply(Gf16 a, Gf16 b) {
  const Gf4 high = multiply(a.high, b.high), low = multiply(a.low, b.low);
  const Gf4 all = multiply(add(a.high, a.low), add(b.high, b.low));
  return {add(all, low), add(timesW(high), low)};
}
LOCKSTEP_INLINE constexpr Gf16 timesWX(Gf16 a) {
  return {timesW(add(a.high, a.low)), timesW(timesW(a.high))};
}
LOCKSTEP_INLINE constexpr Gf16 invert(Gf16 a) {
  const Gf4 sum = add(a.high, a.low);
  const Gf4 norm = add(timesW(square(a.high)), multiply(a.low, sum));
  const Gf4 factor = invert(norm);
  return {multiply(a.high, factor), multiply(sum, factor)};
}

LOCKSTEP_INLINE constexpr Gf256 add(Gf256 a, Gf256 b) {
  return {add(a.high, b.high), add(a.low, b.low)};
}
constexpr Gf256 multiply(Gf256 a, Gf256 b) {
  const Gf16 high = multiply(a.high, b.high), low = multiply(a.low, b.low);
  const Gf16 all = multiply(add(a.high, a.low), add(b.high, b.low));
  return {add(all, low), add(timesWX(high), low)};
}
LOCKSTEP_INLINE constexpr Gf256 invert(Gf256 a) {
  const Gf16 sum = add(a.high, a.low);
  const Gf16 norm = add(timesWX(square(a.high)), multiply(a.low, sum));
  const Gf16 factor = invert(norm);
  return {multiply(a.high, factor), multiply(sum, factor)};
}

// ---- the maps, found by the compiler ----

constexpr Gf256 towerElement(u32 bits) {
  return {{{bits >> 7 & 1, bits >> 6 & 1}, {bits >> 5 & 1, bits >> 4 & 1}},
          {{bits >> 3 & 1, bits >> 2 & 1}, {bits >> 1 & 1, bits & 1}}};
}
constexpr u32 bitsOf(Gf256 a) {
  return a.high.high.high << 7 | a.high.high.low << 6 | a.high.low.high << 5 | a.high.low.low << 4 |
         a.low.high.high << 3 | a.low.high.low << 2 | a.low.low.high << 1 | a.low.low.low;
}

/// A linear map of bytes; bit j of row i: whether bit j of the argument is in bit i of the value.
struct ByteMap {
  u32 row[8];

  constexpr void setColumn(u32 column, u32 bits) {
    for (u32 i = 0; i < 8; ++i) row[i] |= (bits >> i & 1) << column;
  }
  constexpr u32 ones() const {
    u32 n = 0;
    for (const u32 bits : row)
      for (u32 j = 0; j < 8; ++j) n += bits >> j & 1;
    return n;
  }
};

struct SboxMaps {
  ByteMap in;   ///< from AES's field to the tower
  ByteMap out;  ///< back, and then the linear part of SubBytes
};

/// The maps by the root z of AES's polynomial; all rows zero where it is none.
constexpr SboxMaps mapsByRoot(u32 root) {
  const Gf256 z = towerElement(root);
  u32 powers[9] = {1};
  for (u32 i = 1; i < 9; ++i) powers[i] = bitsOf(multiply(towerElement(powers[i - 1]), z));
  SboxMaps maps{};
  if ((powers[8] ^ powers[4] ^ powers[3] ^ powers[1] ^ powers[0]) != 0) return maps;
  for (u32 i = 0; i < 8; ++i) maps.in.setColumn(i, powers[i]);
  for (u32 byte = 0; byte < 256; ++byte) {
    u32 image = 0;
    for (u32 i = 0; i < 8; ++i) image ^= (byte >> i & 1) * powers[i];
    const u32 b = byte * 0x101;
    for (u32 i = 0; i < 8; ++i)
      if (image == 1u << i) maps.out.setColumn(i, (b ^ b >> 4 ^ b >> 5 ^ b >> 6 ^ b >> 7) & 0xff);
  }
  return maps;
}
/// Of the eight roots the one whose maps have the fewest terms.
constexpr SboxMaps makeSboxMaps() {
  SboxMaps best{};
  u32 fewest = ~0u;
  for (u32 root = 2; root < 256; ++root) {
    const SboxMaps maps = mapsByRoot(root);
    const u32 ones = maps.in.ones() + maps.out.ones();
    if (ones == 0 || ones >= fewest) continue;
    best = maps;
    fewest = ones;
  }
  return best;
}
inline constexpr SboxMaps kSboxMaps = makeSboxMaps();

// ---- rounds on slices ----

struct Slices {
  u32 bit[8];
};

template <bool kIn>
LOCKSTEP_INLINE Slices mapSlices(const Slices& s) {
  constexpr ByteMap kMap = kIn ? kSboxMaps.in : kSboxMaps.out;
  Slices result{};
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 8; ++i) {
    LOCKSTEP_UNROLL
    for (u32 j = 0; j < 8; ++j)
      if (kMap.row[i] >> j & 1) result.bit[i] ^= s.bit[j];
  }
  return result;
}

/// SubBytes but for its constant 0x63, which is in the round keys: ShiftRows and MixColumns leave
/// it as it is.
LOCKSTEP_INLINE Slices subBytes(const Slices& s) {
  const Slices t = mapSlices<true>(s);
  const Gf256 a = invert(Gf256{{{t.bit[7], t.bit[6]}, {t.bit[5], t.bit[4]}},
                               {{t.bit[3], t.bit[2]}, {t.bit[1], t.bit[0]}}});
  return mapSlices<false>({{a.low.low.low, a.low.low.high, a.low.high.low, a.low.high.high,
                            a.high.low.low, a.high.low.high, a.high.high.low, a.high.high.high}});
}
inline constexpr u32 kSubBytesConstant = 0x63636363;

/// Row r is byte r, whose columns of 2 bits turn by r.
LOCKSTEP_INLINE u32 shiftRows(u32 s) {
  const u32 byOne = (s >> 2 & 0x3f3f3f3f) | (s << 6 & 0xc0c0c0c0);
  const u32 odd = (s & 0x00ff00ff) | (byOne & 0xff00ff00);
  const u32 byTwo = (odd >> 4 & 0x0f0f0f0f) | (odd << 4 & 0xf0f0f0f0);
  return (odd & 0x0000ffff) | (byTwo & 0xffff0000);
}

/// 2 (a_r + a_{r+1}) + a_{r+1} + (a_{r+2} + a_{r+3}).
LOCKSTEP_INLINE Slices mixColumns(const Slices& a) {
  Slices next, sum, result;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 8; ++i) {
    next.bit[i] = rotateRight(a.bit[i], 8);
    sum.bit[i] = a.bit[i] ^ next.bit[i];
  }
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 8; ++i) {
    const u32 doubled = sum.bit[(i + 7) % 8] ^ (i == 1 || i == 3 || i == 4 ? sum.bit[7] : 0);
    result.bit[i] = doubled ^ next.bit[i] ^ rotateRight(sum.bit[i], 16);
  }
  return result;
}

/// Bits 8 r + i of word k to bits 8 r + k of word i: words, two of each column, to slices, and
/// back.
LOCKSTEP_INLINE void transpose(Slices& s) {
  constexpr u32 kKept[3] = {0x55555555, 0x33333333, 0x0f0f0f0f};
  LOCKSTEP_UNROLL
  for (u32 stage = 0; stage < 3; ++stage) {
    const u32 n = 1u << stage;
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < 8; ++i) {
      if ((i & n) != 0) continue;
      const u32 swapped = (s.bit[i] >> n ^ s.bit[i | n]) & kKept[stage];
      s.bit[i | n] ^= swapped;
      s.bit[i] ^= swapped << n;
    }
  }
}

template <>
struct Aes<Cipher::bitsliced> {
  struct Shared {
    Bits128 roundKeys[2 * (kRounds + 1)];  ///< slices 0 to 3, then 4 to 7, of each
    NonceWords nonce;
  };

  LOCKSTEP_INLINE static void prepare(Shared&) {}
  static void expandKey(const Shared&, const u8* raw, u32* words) {
    expandRoundKeys(raw, words, [](u32 word) {
      Slices s{{word}};
      transpose(s);
      s = subBytes(s);
      transpose(s);
      return s.bit[0] ^ kSubBytesConstant;
    });
  }
  LOCKSTEP_INLINE static void loadKey(Shared& shared, const u32* words) {
    for (u32 round = thread(); round <= kRounds; round += threads()) {
      Slices s;
      for (u32 i = 0; i < 8; ++i)
        s.bit[i] = words[4 * round + i / 2] ^ (round == 0 ? 0 : kSubBytesConstant);
      transpose(s);
      for (u32 i = 0; i < 8; ++i) shared.roundKeys[2 * round + i / 4].word[i % 4] = s.bit[i];
    }
  }

  LOCKSTEP_INLINE static void startMessage(Shared& shared, const NonceWords& nonce) {
    shared.nonce = nonce;
  }

  LOCKSTEP_INLINE static void makePads(const Shared& shared, u32 a, u32 b, Bits128 (&pads)[2]) {
    const u32* n = shared.nonce.word;
    Slices s{{n[0], n[0], n[1], n[1], n[2], n[2], swapBytes(a), swapBytes(b)}};
    transpose(s);
    s = added(s, shared, 0);
    for (u32 round = 1; round < kRounds; ++round)
      s = added(mixColumns(shifted(subBytes(s))), shared, round);
    s = added(shifted(subBytes(s)), shared, kRounds);
    transpose(s);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < 8; ++i) pads[i % 2].word[i / 2] = s.bit[i];
  }

 private:
  LOCKSTEP_INLINE static Slices shifted(Slices s) {
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < 8; ++i) s.bit[i] = shiftRows(s.bit[i]);
    return s;
  }
  LOCKSTEP_INLINE static Slices added(Slices s, const Shared& shared, u32 round) {
    const Bits128 low = load(&shared.roundKeys[2 * round]);
    const Bits128 high = load(&shared.roundKeys[2 * round + 1]);
    LOCKSTEP_UNROLL
    for (u32 i = 0; i < 4; ++i) {
      s.bit[i] ^= low.word[i];
      s.bit[4 + i] ^= high.word[i];
    }
    return s;
  }
};

}  // namespace lockstep::device
