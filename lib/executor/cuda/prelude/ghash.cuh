// GHASH (NIST SP 800-38D, 6.3 and 6.4): arithmetic of GF(2^128) and a block's share of a sum.
//
// An element is four words, the coefficient of x^0 in the highest bit of word 0 and that of x^127
// in the lowest of word 3: GHASH's own order of bits, once the bytes of each word are swapped. In
// it multiplying by x shifts right, and x^128 = 1 + x + x^2 + x^7.
//
// A message's sum of block i times H^(n-i) is shared out by stride: of T threads each adds up every
// T-th block by Horner's rule in H^T, multiplies once by the power of H that its last block has,
// and the block adds up what its threads have. H^T is the same for all, so tables of its products
// with 4 bits make that multiplication; only the last one is of two unknowns.
#pragma once

#include "executor/cuda/prelude/platform.cuh"

namespace lockstep::device {

using Element = Bits128;

LOCKSTEP_INLINE Element add(const Element& a, const Element& b) {
  return {
      {a.word[0] ^ b.word[0], a.word[1] ^ b.word[1], a.word[2] ^ b.word[2], a.word[3] ^ b.word[3]}};
}

/// Product of polynomials over GF(2) by integer multiplication: a word is split into four that have
/// every fourth bit, so that sums of at most 8 ones stay within the holes between them. Takes the
/// same time for all values.
LOCKSTEP_INLINE u64 multiplyCarryless(u32 a, u32 b) {
  constexpr u32 kEvery = 0x11111111;
  u64 product = 0;
  LOCKSTEP_UNROLL
  for (u32 i = 0; i < 4; ++i) {
    u64 part = 0;
    LOCKSTEP_UNROLL
    for (u32 j = 0; j < 4; ++j) part ^= multiplyWide(a & kEvery << j, b & kEvery << (i - j) % 4);
    product ^= part & u64{kEvery << i} * 0x100000001ull;
  }
  return product;
}

/// 64 by 64 bits, by Karatsuba: products of the upper halves, of the lower, and of their sums. One
/// after the other, to need few registers.
struct Product128 {
  u64 high, low;
};
LOCKSTEP_INLINE Product128 multiplyCarryless(u64 a, u64 b) {
  const u32 a1 = static_cast<u32>(a >> 32), a0 = static_cast<u32>(a);
  const u32 b1 = static_cast<u32>(b >> 32), b0 = static_cast<u32>(b);
  Product128 sum{};
  LOCKSTEP_NO_UNROLL
  for (u32 i = 0; i < 3; ++i) {
    const u64 p = multiplyCarryless(i == 0   ? a1
                                    : i == 1 ? a0
                                             : a1 ^ a0,
                                    i == 0   ? b1
                                    : i == 1 ? b0
                                             : b1 ^ b0);
    sum.high ^= p >> 32 ^ (i == 0 ? p : 0);
    sum.low ^= p << 32 ^ (i == 1 ? p : 0);
  }
  return sum;
}

/// Product of two elements, by Karatsuba again.
LOCKSTEP_INLINE Element multiply(const Element& a, const Element& b) {
  const u64 a1 = u64{a.word[0]} << 32 | a.word[1], a0 = u64{a.word[2]} << 32 | a.word[3];
  const u64 b1 = u64{b.word[0]} << 32 | b.word[1], b0 = u64{b.word[2]} << 32 | b.word[3];
  u64 p3 = 0, p2 = 0, p1 = 0, p0 = 0;
  LOCKSTEP_NO_UNROLL
  for (u32 i = 0; i < 3; ++i) {
    const Product128 p = multiplyCarryless(i == 0   ? a1
                                           : i == 1 ? a0
                                                    : a1 ^ a0,
                                           i == 0   ? b1
                                           : i == 1 ? b0
                                                    : b1 ^ b0);
    p3 ^= i == 0 ? p.high : 0;
    p2 ^= i == 0 ? p.high ^ p.low : p.high;
    p1 ^= i == 1 ? p.high ^ p.low : p.low;
    p0 ^= i == 1 ? p.low : 0;
  }
  // 255 bits; shifted by one, the coefficient of x^0 is the highest of 256.
  p3 = p3 << 1 | p2 >> 63;
  p2 = p2 << 1 | p1 >> 63;
  p1 = p1 << 1 | p0 >> 63;
  p0 = p0 << 1;
  // The lower half times x^128 = 1 + x + x^2 + x^7; first what that carries beyond x^255.
  p1 ^= p0 << 63 ^ p0 << 62 ^ p0 << 57;
  p3 ^= p1 ^ p1 >> 1 ^ p1 >> 2 ^ p1 >> 7;
  p2 ^= p0 ^ (p1 << 63 | p0 >> 1) ^ (p1 << 62 | p0 >> 2) ^ (p1 << 57 | p0 >> 7);
  return {{static_cast<u32>(p3 >> 32), static_cast<u32>(p3), static_cast<u32>(p2 >> 32),
           static_cast<u32>(p2)}};
}

/// What word 4 (x^128 to x^159) is modulo the polynomial, added to the other four.
LOCKSTEP_INLINE Element reduce(const Element& e, u32 beyond) {
  return {{e.word[0] ^ beyond ^ beyond >> 1 ^ beyond >> 2 ^ beyond >> 7,
           e.word[1] ^ beyond << 31 ^ beyond << 30 ^ beyond << 25, e.word[2], e.word[3]}};
}
/// Times x^n, n < 32.
LOCKSTEP_INLINE Element shift(const Element& e, u32 n) {
  if (n == 0) return e;
  const u32 left = 32 - n;
  return reduce({{e.word[0] >> n, e.word[0] << left | e.word[1] >> n,
                  e.word[1] << left | e.word[2] >> n, e.word[2] << left | e.word[3] >> n}},
                e.word[3] << left);
}

/// Products of one element with 4 bits at the top of each word: 4 tables of 16. Loads of 16 bytes
/// are served 8 lanes at a time, and each of 8 has a copy in banks of its own, so that look-ups do
/// not collide and take the same time whatever they look up.
struct Products {
  static constexpr u32 kCopies = kBanks >= 4 ? kBanks / 4 : 1;
  static constexpr u32 kShift = kCopies == 8 ? 7 : 4;  ///< bytes from one entry to the next
  static_assert(kCopies * 16 == 1u << kShift);

  alignas(128) Element entry[4 * 16 * kCopies];

  /// By the block, before a barrier.
  LOCKSTEP_INLINE void prepare(const Element& factor) {
    for (u32 i = thread(); i < 4 * 16 * kCopies; i += threads()) {
      const u32 bits = i / kCopies % 16, word = i / kCopies / 16;
      Element shifted = factor;
      for (u32 w = 0; w < word; ++w)
        shifted = reduce({{0, shifted.word[0], shifted.word[1], shifted.word[2]}}, shifted.word[3]);
      Element sum{};
      for (u32 power = 0; power < 4; ++power) {
        const u32 wanted = 0u - (bits >> (3 - power) & 1);
        const Element term = shift(shifted, power);
        for (u32 w = 0; w < 4; ++w) sum.word[w] ^= term.word[w] & wanted;
      }
      entry[i] = sum;
    }
  }

  /// Product of `e` and the factor: four bits of each word at a time, the highest powers first.
  LOCKSTEP_INLINE Element times(const Element& e) const {
    const u8* tables = reinterpret_cast<const u8*>(entry);
    const u32 copy = thread() % kCopies * 16;
    // The four bits are turned to where they count entries.
    u32 bits[4], sum[5] = {};
    LOCKSTEP_UNROLL
    for (u32 w = 0; w < 4; ++w) bits[w] = rotateRight(e.word[w], 32 - kShift);
    LOCKSTEP_NO_UNROLL
    for (u32 step = 0; step < 8; ++step) {
      LOCKSTEP_UNROLL
      for (u32 w = 4; w > 0; --w) sum[w] = sum[w] >> 4 | sum[w - 1] << 28;
      sum[0] >>= 4;
      LOCKSTEP_UNROLL
      for (u32 w = 0; w < 4; ++w) {
        const Element product =
            load(tables + (w << (kShift + 4)) + ((bits[w] & 0xf << kShift) | copy));
        LOCKSTEP_UNROLL
        for (u32 k = 0; k < 4; ++k) sum[k] ^= product.word[k];
        bits[w] = rotateRight(bits[w], 4);
      }
    }
    return reduce({{sum[0], sum[1], sum[2], sum[3]}}, sum[4]);
  }
};

/// Sum over the threads of a block.
struct BlockSum {
  static constexpr u32 kPlaces = 64;  ///< a power of two

  Element place[kPlaces];

  /// By the block. The sum is place[0] for all, until the next barrier.
  LOCKSTEP_INLINE void sum(const Element& mine) {
    const u32 at = thread() % kPlaces;
    LOCKSTEP_NO_UNROLL
    for (u32 first = 0; first < threads(); first += kPlaces) {
      if (thread() - first < kPlaces) place[at] = first == 0 ? mine : add(place[at], mine);
      syncThreads();
    }
    LOCKSTEP_NO_UNROLL
    for (u32 half = kPlaces / 2; half > 0; half /= 2) {
      if (thread() < half && thread() + half < threads())
        place[at] = add(place[at], place[at + half]);
      syncThreads();
    }
  }
};

}  // namespace lockstep::device
