// The pieces of the key exchange: hashes, HKDF, X25519, and keys that count their use.
#include <algorithm>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cc_mode/aead_fixture.hpp"
#include "cc_mode/keys/hkdf.hpp"
#include "cc_mode/keys/key_ring.hpp"
#include "cc_mode/keys/x25519.hpp"
#include "cc_mode/vectors.hpp"

namespace lockstep::test {
namespace {

template <std::size_t N>
std::array<std::byte, N> hexArray(const std::string& text) {
  const Bytes bytes = fromHex(text);
  EXPECT_EQ(bytes.size(), N);
  std::array<std::byte, N> array{};
  std::copy_n(bytes.begin(), std::min(N, bytes.size()), array.begin());
  return array;
}

TEST(Hash, KnownAnswers) {
  // FIPS 180-4 example "abc"; RFC 4231 test case 2.
  EXPECT_EQ(cc::sha256(cc::bytesOf("abc")),
            hexArray<32>("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  EXPECT_EQ(cc::sha512(cc::bytesOf("abc")),
            hexArray<64>("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"));
  EXPECT_EQ(cc::hmacSha256(cc::bytesOf("Jefe"), cc::bytesOf("what do ya want for nothing?")),
            hexArray<32>("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}

TEST(Hkdf, Wycheproof) {
  const auto file = wycheproof("wycheproof_hkdf_sha256_test.json");
  if (!file) GTEST_SKIP() << "shared/vectors is not beside this checkout";
  std::size_t ran = 0;
  for (const auto& group : file->at("testGroups"))
    for (const auto& test : group.at("tests")) {
      SCOPED_TRACE(test.at("tcId").get<int>());
      const auto hex = [&](const char* name) { return fromHex(test.at(name).get<std::string>()); };
      cc::Hash root{};
      cc::hkdfExtract(hex("salt"), hex("ikm"), root);
      Bytes key(test.at("size").get<std::size_t>());
      if (test.at("result") == "valid") {
        cc::hkdfExpand(root, hex("info"), key);
        EXPECT_EQ(key, hex("okm"));
      } else {
        EXPECT_THROW(cc::hkdfExpand(root, hex("info"), key), Error);
      }
      ++ran;
    }
  EXPECT_EQ(ran, 86u);
}

TEST(X25519, Wycheproof) {
  const auto file = wycheproof("wycheproof_x25519_test.json");
  if (!file) GTEST_SKIP() << "shared/vectors is not beside this checkout";
  std::size_t agreed = 0, refused = 0;
  for (const auto& group : file->at("testGroups"))
    for (const auto& test : group.at("tests")) {
      SCOPED_TRACE(test.at("tcId").get<int>());
      const auto hex = [&](const char* name) { return hexArray<32>(test.at(name)); };
      const auto expected = hex("shared");
      const bool zero = expected == std::array<std::byte, 32>{};
      std::array<std::byte, 32> shared;
      shared.fill(std::byte{0xa5});
      EXPECT_EQ(cc::X25519(hex("private")).agree(hex("public"), shared), !zero);
      EXPECT_EQ(shared, expected);
      ++(zero ? refused : agreed);
    }
  EXPECT_EQ(agreed + refused, 518u);
  EXPECT_GE(refused, 20u);
}

TEST(X25519, FreshKeysAgreeAndDiffer) {
  const cc::X25519 a, b;
  EXPECT_NE(a.publicKey(), b.publicKey());
  std::array<std::byte, 32> ab{}, ba{};
  EXPECT_TRUE(a.agree(b.publicKey(), ab));
  EXPECT_TRUE(b.agree(a.publicKey(), ba));
  EXPECT_EQ(ab, ba);
}

const std::array<std::byte, 32> kKey = [] {
  std::array<std::byte, 32> key{};
  key.fill(std::byte{0x42});
  return key;
}();

/// One end seals, the other opens, each with its own count of the key's use.
bool understand(const cc::Aead& aead, cc::LiveKey& sender, cc::LiveKey& receiver) {
  const Bytes plain(100, std::byte{1});
  Bytes opened;
  const Sealed sealed = seal(aead, sender.expanded(), cc::nonceOf(5), {}, plain);
  return open(aead, receiver.expanded(), cc::nonceOf(5), {}, sealed, opened) && opened == plain;
}

TEST(LiveKey, NoncesAreHandedOutOnce) {
  cc::LiveKey key(cc::createAead(), kKey);
  EXPECT_EQ(key.reserve(3, 16), 0u);
  EXPECT_EQ(key.reserve(1, 0), 3u);
  EXPECT_EQ(key.reserve(0, 0), 4u);
  EXPECT_EQ(key.reserve(1000, 4096), 4u);
  EXPECT_EQ(key.reserve(1, 1), 1004u);
  EXPECT_EQ(key.epoch(), 0u);
}

TEST(LiveKey, BothEndsMoveToTheNextEpochTogether) {
  const auto aead = cc::createAead();
  cc::LiveKey sender(aead, kKey), receiver(aead, kKey), old(aead, kKey);
  constexpr std::uint64_t kRecords = 1 << 20;  // of 16 KiB: 2^30 blocks and 2^20 for tags
  std::uint32_t epoch = 0;
  for (int call = 0; call < 50; ++call) {
    SCOPED_TRACE(call);
    const std::uint64_t base = sender.reserve(kRecords, 16384);
    EXPECT_EQ(receiver.reserve(kRecords, 16384), base);
    EXPECT_EQ(sender.epoch(), receiver.epoch());
    if (sender.epoch() != epoch) {
      EXPECT_EQ(call % 22, 0);  // 2^34.5 / (2^20 * 1025) = 22.6 calls per key
      EXPECT_FALSE(understand(*aead, sender, old));
      epoch = sender.epoch();
    }
    EXPECT_EQ(base, call * kRecords);  // nonces go on, whatever the key
    EXPECT_TRUE(understand(*aead, sender, receiver));
  }
  EXPECT_EQ(epoch, 2u);
}

TEST(LiveKey, ExactBound) {
  constexpr std::uint64_t kBlocks = 24'296'003'999;  // floor(2^34.5)
  constexpr std::uint64_t kHalf = kBlocks / 16;      // records of no data: 1 block each
  cc::LiveKey key(cc::createAead(), kKey);
  for (std::uint64_t i = 0; i < 16; ++i) EXPECT_EQ(key.reserve(kHalf, 0), i * kHalf);
  EXPECT_EQ(key.reserve(kBlocks - 16 * kHalf, 0), 16 * kHalf);
  EXPECT_EQ(key.epoch(), 0u);
  EXPECT_EQ(key.reserve(1, 0), kBlocks);
  EXPECT_EQ(key.epoch(), 1u);
}

TEST(LiveKey, MoreThanCanBeCountedIsRefusedAndUsesNothing) {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  cc::LiveKey key(cc::createAead(), kKey);
  EXPECT_THROW(key.reserve(24'296'004'000, 0), Error);  // in one unit
  EXPECT_THROW(key.reserve(kAll, ~std::size_t{0}), Error);
  EXPECT_THROW(key.reserve(kAll, 2, 16), Error);
  EXPECT_EQ(key.reserve(1, 0), 0u);
  EXPECT_EQ(key.epoch(), 0u);
  EXPECT_THROW(key.reserve(kAll, 1, 16), Error) << "nonces would come again";
}

/// A call has as many epochs as it needs: here 2^24 units, of which a key takes 740,731.
TEST(LiveKey, NoCallIsTooLarge) {
  cc::LiveKey key(cc::createAead(), kKey);
  constexpr std::uint64_t kUnits = std::uint64_t{1} << 24, kPerEpoch = 24'296'003'999 / (32 * 1025);
  EXPECT_EQ(key.reserve(kUnits, 32, 16384), 0u);
  EXPECT_EQ(key.turnsAt(), kPerEpoch);
  EXPECT_EQ(key.epochOf(kPerEpoch - 1), 0u);
  EXPECT_EQ(key.epochOf(kPerEpoch), 1u);
  key.done(kPerEpoch);
  EXPECT_EQ(key.epoch(), 1u);
  EXPECT_EQ(key.turnsAt(), 2 * kPerEpoch);
  EXPECT_EQ(key.reserve(1, 16), kUnits * 32);
  EXPECT_EQ(key.epoch(), (kUnits - 1) / kPerEpoch);
}

/// Random calls, against the plain meaning: unit after unit goes to the epoch that has room. Two
/// ends, which say at different times that units are done, agree on every key.
TEST(LiveKey, UnitsGoToTheEpochThatHasRoom) {
  constexpr std::uint64_t kBlocks = 100;
  std::mt19937 random(7);
  const auto aead = cc::createAead();
  cc::LiveKey sender(aead, kKey, kBlocks), receiver(aead, kKey, kBlocks);
  std::uint64_t used = 0, nonces = 0;
  std::uint32_t epoch = 0;
  for (int call = 0; call < 300; ++call) {
    SCOPED_TRACE(call);
    const std::uint64_t units = 1 + random() % 60, records = 1 + random() % 4;
    const std::size_t bytes = random() % 100;
    const std::uint64_t perUnit = records * ((bytes + 15) / 16 + 1);
    const std::uint64_t most = std::max(kBlocks, std::min(units, cc::kUnitsInFlight) * perUnit);
    EXPECT_EQ(sender.reserve(units, records, bytes), nonces);
    EXPECT_EQ(receiver.reserve(units, records, bytes), nonces);
    nonces += units * records;
    std::uint64_t first = 0;  // unit that is not done
    bool fresh = used == 0;   // the epoch began with this call's units
    for (std::uint64_t unit = 0; unit < units; ++unit) {
      if (used + perUnit > (fresh ? most : kBlocks)) {
        ++epoch;
        used = 0;
        fresh = true;
      }
      used += perUnit;
      EXPECT_EQ(sender.epochOf(unit), epoch);
      EXPECT_EQ(receiver.epochOf(unit), epoch);
      const Bytes plain(10, std::byte{1});
      Bytes opened;
      const Sealed sealed = seal(*aead, sender.of(unit), cc::nonceOf(5), {}, plain);
      EXPECT_TRUE(open(*aead, receiver.of(unit), cc::nonceOf(5), {}, sealed, opened));
      sender.done(unit);
      if (unit - first >= cc::kUnitsInFlight - 1) receiver.done(first = unit - random() % 4);
    }
  }
  EXPECT_GT(epoch, 500u);
}

TEST(LiveKey, WhoAsksTooFarAheadGetsNoKey) {
  cc::LiveKey key(cc::createAead(), kKey, 8);
  key.reserve(100, 1, 0);
  static_cast<void>(key.of(15));
  EXPECT_THROW(static_cast<void>(key.of(16)), Error);
  key.done(8);
  static_cast<void>(key.of(16));
}

TEST(LiveKey, IsRefusedInAForkedChild) {
  cc::LiveKey key(cc::createAead(), kKey);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      key.reserve(1, 16);
    } catch (const Error& e) {
      ::_exit(e.code() == ErrorCode::invalidArgument ? 0 : 2);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(key.reserve(1, 16), 0u);
}

TEST(KeyRing, HoldsWhatWasAddedOnce) {
  cc::KeyRing ring(cc::createAead());
  ring.add({.sender = 1, .receiver = 2}, kKey);
  EXPECT_EQ(ring.at({.sender = 1, .receiver = 2}).reserve(2, 16), 0u);
  EXPECT_EQ(ring.at({.sender = 1, .receiver = 2}).reserve(2, 16), 2u);
  EXPECT_THROW(ring.at({.sender = 2, .receiver = 1}), Error);
  EXPECT_THROW(ring.add({.sender = 1, .receiver = 2}, kKey), Error);
}

}  // namespace
}  // namespace lockstep::test
