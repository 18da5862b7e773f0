// The device's AES-256-GCM, by a block of one thread, against published vectors and the CPU's.
#include <cstddef>

#include <gtest/gtest.h>

#include "cc_mode/gcm_cases.hpp"
#include "cuda/gcm_fixture.hpp"
#include "executor/host/records.hpp"

namespace lockstep::test {
namespace {

using device::Cipher;

// FIPS 197: 5.1.1, figure 7, and B.
static_assert(device::sBox(0x00) == 0x63 && device::sBox(0x53) == 0xed &&
              device::sBox(0x9a) == 0xb8 && device::sBox(0xff) == 0x16);

// Names are as long as the host's, and begin alike; places and ranks have more room here.
static_assert(sizeof(device::RecordName) == sizeof(host::RecordName) &&
              offsetof(device::RecordName, digest) == offsetof(host::RecordName, digest) &&
              offsetof(device::RecordName, sequence) == offsetof(host::RecordName, sequence) &&
              offsetof(device::RecordName, count) == offsetof(host::RecordName, count) &&
              offsetof(device::RecordName, tile) == offsetof(host::RecordName, tile) &&
              offsetof(device::RecordName, index) == offsetof(host::RecordName, index));

TEST(Gcm, NonceIsTheHosts) {
  for (const std::uint64_t number : {0ull, 1ull, 0x0123456789abcdefull, ~0ull}) {
    const device::NonceWords mine = device::nonceOf(number), theirs = wordsOf(cc::nonceOf(number));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(mine.word[i], theirs.word[i]);
  }
}

/// By the definition (NIST SP 800-38D, algorithm 1), bit by bit.
device::Element slowProduct(const device::Element& a, device::Element b) {
  device::Element product{};
  for (int i = 0; i < 128; ++i) {
    if (a.word[i / 32] >> (31 - i % 32) & 1) product = device::add(product, b);
    const unsigned carry = b.word[3] & 1;
    for (int w = 3; w > 0; --w) b.word[w] = b.word[w] >> 1 | b.word[w - 1] << 31;
    b.word[0] = b.word[0] >> 1 ^ carry * 0xe1000000u;
  }
  return product;
}

TEST(Gcm, ProductsAreThoseOfTheDefinition) {
  std::mt19937_64 random(1);
  const auto element = [&](int i) {
    device::Element e;
    for (unsigned& word : e.word)
      word = i == 0 ? 0 : i == 1 ? ~0u : static_cast<unsigned>(random());
    return e;
  };
  for (int i = 0; i < 50; ++i)
    for (int j = 0; j < 3; ++j) {
      const device::Element a = element(i), b = element(j);
      const device::Element expected = slowProduct(a, b);
      device::Products products;
      products.prepare(b);
      EXPECT_EQ(device::difference(device::multiply(a, b), expected), 0u) << i << ' ' << j;
      EXPECT_EQ(device::difference(products.times(a), expected), 0u) << i << ' ' << j;
    }
}

template <Cipher cipher>
void check(const GcmCase& c) {
  SCOPED_TRACE(c.label);
  DeviceGcm<cipher> gcm;
  const auto nonce = toArray<cc::Nonce>(c.iv);
  const Sealed given{c.cipher, toArray<cc::Tag>(c.tag)};
  Bytes plain;
  ASSERT_EQ(gcm.open(c.key, nonce, c.aad, given, plain), c.valid);
  if (!c.valid) {
    EXPECT_TRUE(isZero(plain));
    return;
  }
  EXPECT_EQ(plain, c.plain);
  const Sealed made = gcm.seal(c.key, nonce, c.aad, c.plain);
  EXPECT_EQ(made.cipher, given.cipher);
  EXPECT_EQ(made.tag, given.tag);
}

struct Counts {
  std::size_t valid = 0, invalid = 0;
};

template <Cipher cipher>
Counts checkAll(const std::vector<GcmCase>& cases) {
  Counts counts;
  for (const GcmCase& c : cases) {
    if (!applies(c)) continue;
    check<cipher>(c);
    ++(c.valid ? counts.valid : counts.invalid);
  }
  return counts;
}

template <class Named>
class GcmOf : public testing::Test {};

template <Cipher value>
struct Named {
  static constexpr Cipher cipher = value;
};
using Ciphers = testing::Types<Named<Cipher::table>, Named<Cipher::bitsliced>>;
TYPED_TEST_SUITE(GcmOf, Ciphers);

TYPED_TEST(GcmOf, NistEncrypt) {
  const auto path = cavp("gcmEncryptExtIV256.rsp");
  if (!path) GTEST_SKIP() << "the package python3-cryptography-vectors is not installed";
  EXPECT_GE(checkAll<TypeParam::cipher>(readRsp(*path)).valid, 375u);
}

TYPED_TEST(GcmOf, NistDecrypt) {
  const auto path = cavp("gcmDecrypt256.rsp");
  if (!path) GTEST_SKIP() << "the package python3-cryptography-vectors is not installed";
  const Counts counts = checkAll<TypeParam::cipher>(readRsp(*path));
  EXPECT_GE(counts.valid + counts.invalid, 375u);
  EXPECT_GT(counts.invalid, 0u);
}

TYPED_TEST(GcmOf, Wycheproof) {
  const auto cases = wycheproofGcm();
  if (!cases) GTEST_SKIP() << "shared/vectors is not beside this checkout";
  const Counts counts = checkAll<TypeParam::cipher>(*cases);
  EXPECT_GE(counts.valid, 30u);
  EXPECT_GE(counts.invalid, 20u);
}

TYPED_TEST(GcmOf, AgreesWithTheHostsBothWays) {
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(2);
  DeviceGcm<TypeParam::cipher> gcm;
  for (int i = 0; i < 60; ++i) {
    const std::size_t size = i < 40 ? static_cast<std::size_t>(i) : random() % 70001;
    SCOPED_TRACE(size);
    const Bytes key = randomBytes(random, 32), aad = randomBytes(random, random() % 65),
                text = randomBytes(random, size);
    const cc::Nonce nonce = cc::nonceOf(random());
    const auto theirs = expand(*aead, key);
    const Sealed sealed = gcm.seal(key, nonce, aad, text, random() % 17);
    Bytes plain;
    EXPECT_TRUE(open(*aead, *theirs, nonce, aad, sealed, plain));
    EXPECT_EQ(plain, text);
    EXPECT_TRUE(
        gcm.open(key, nonce, aad, seal(*aead, *theirs, nonce, aad, text), plain, random() % 17));
    EXPECT_EQ(plain, text);
  }
}

TYPED_TEST(GcmOf, TheLongestMessage) {
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(3);
  DeviceGcm<TypeParam::cipher> gcm;
  const Bytes key = randomBytes(random, 32), text = randomBytes(random, device::kMaxMessageBytes);
  const Sealed sealed = gcm.seal(key, cc::nonceOf(7), {}, text);
  const Sealed theirs = seal(*aead, *expand(*aead, key), cc::nonceOf(7), {}, text);
  EXPECT_EQ(sealed.cipher, theirs.cipher);
  EXPECT_EQ(sealed.tag, theirs.tag);
}

TYPED_TEST(GcmOf, EveryFlippedBitIsRejectedAndWiped) {
  std::mt19937_64 random(4);
  DeviceGcm<TypeParam::cipher> gcm;
  const Bytes key = randomBytes(random, 32), text = randomBytes(random, 37);
  Bytes aad = randomBytes(random, 48);
  const cc::Nonce nonce = cc::nonceOf(1);
  Sealed sealed = gcm.seal(key, nonce, aad, text);
  Bytes plain;
  const auto rejects = [&](std::byte& byte) {
    for (int bit = 0; bit < 8; ++bit) {
      byte ^= std::byte{1} << bit;
      EXPECT_FALSE(gcm.open(key, nonce, aad, sealed, plain)) << bit;
      EXPECT_TRUE(isZero(plain));
      byte ^= std::byte{1} << bit;
    }
  };
  for (std::byte& byte : sealed.tag) rejects(byte);
  for (std::byte& byte : sealed.cipher) rejects(byte);
  for (std::byte& byte : aad) rejects(byte);
  EXPECT_FALSE(gcm.open(key, cc::nonceOf(2), aad, sealed, plain));
  EXPECT_TRUE(gcm.open(key, nonce, aad, sealed, plain));
  EXPECT_EQ(plain, text);
}

}  // namespace
}  // namespace lockstep::test
