// The device's AES-256-GCM by blocks of many threads: every number of threads makes the same
// message, each byte crosses once, and keys change at the epochs that the counters say.
#include <atomic>

#include <gtest/gtest.h>

#include "cuda/gcm_fixture.hpp"

namespace lockstep::test {
namespace {

using device::Cipher;

template <Cipher value>
struct Named {
  static constexpr Cipher cipher = value;
};
template <class Named>
class GcmBlocks : public testing::Test {};
using Ciphers = testing::Types<Named<Cipher::table>, Named<Cipher::bitsliced>>;
TYPED_TEST_SUITE(GcmBlocks, Ciphers);

/// Lengths around what a block of `threads` takes at once; few where many take long to meet.
std::vector<std::size_t> lengthsFor(unsigned threads, std::mt19937_64& random) {
  const std::size_t turn = 16 * std::size_t{threads};
  if (threads >= 256) return {33, 3 * turn + 5};
  return {0, 1, 16, 33, turn - 1, turn, turn + 16, 2 * turn, 3 * turn + 5, random() % 70001};
}

TYPED_TEST(GcmBlocks, AnyNumberOfThreadsMakesTheSameMessage) {
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(5);
  for (const unsigned threads : {1u, 2u, 3u, 32u, 70u, 256u, 512u}) {
    DeviceGcm<TypeParam::cipher> gcm(threads);
    for (const std::size_t size : lengthsFor(threads, random)) {
      SCOPED_TRACE(testing::Message() << threads << " threads, " << size << " bytes");
      const Bytes key = randomBytes(random, 32), aad = randomBytes(random, random() % 65),
                  text = randomBytes(random, size);
      const cc::Nonce nonce = cc::nonceOf(random());
      const Sealed theirs = seal(*aead, *expand(*aead, key), nonce, aad, text);
      const Sealed mine = gcm.seal(key, nonce, aad, text, random() % 17);
      EXPECT_EQ(mine.cipher, theirs.cipher);
      EXPECT_EQ(mine.tag, theirs.tag);
      Bytes plain;
      EXPECT_TRUE(gcm.open(key, nonce, aad, theirs, plain, random() % 17));
      EXPECT_EQ(plain, text);
      Sealed forged = theirs;
      (size == 0 ? forged.tag[random() % 16] : forged.cipher[random() % size]) ^= std::byte{4};
      EXPECT_FALSE(gcm.open(key, nonce, aad, forged, plain, random() % 17));
      EXPECT_TRUE(isZero(plain));
    }
  }
}

/// A slot that keeps nothing of what is put there, but counts it.
struct Sieve {
  std::vector<std::atomic<int>>* puts;
  std::byte* tag;
  void put(unsigned i, const device::Bits128&) const { ++(*puts)[i]; }
  void putTag(const device::Bits128& v) const { std::memcpy(tag, &v, sizeof v); }
};

/// A slot whose every block can be read once; then it is another.
struct Once {
  device::Bits128* blocks;
  unsigned bytes;
  device::Bits128 get(unsigned i) const {
    const device::Bits128 block = blocks[i];
    blocks[i] = {};
    return device::firstBytes(block, device::bytesOfBlock(i, bytes));
  }
};

TYPED_TEST(GcmBlocks, WhatCrossesIsStoredOnceAndNeverReadBack) {
  constexpr unsigned kBytes = 5003, kBlocks = 313;
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(6);
  const Bytes key = randomBytes(random, 32), text = randomBytes(random, kBytes);
  const cc::Nonce nonce = cc::nonceOf(9);
  const Sealed expected = seal(*aead, *expand(*aead, key), nonce, {}, text);
  const auto* bytes = reinterpret_cast<const device::u8*>(text.data());
  std::vector<std::atomic<int>> puts(kBlocks);
  cc::Tag tag{};
  Slot slot(expected);
  Bytes plain(kBytes);
  std::atomic<int> wrong = 0;
  DeviceGcm<TypeParam::cipher> gcm(32);
  gcm.run([&](auto& shared) {
    device::prepareKey(gcm.key(), reinterpret_cast<const device::u8*>(key.data()), shared);
    device::useKey(gcm.key(), 0, shared);
    device::sealText(gcm.key(), wordsOf(nonce), nullptr, 0, bytes, Sieve{&puts, tag.data()}, kBytes,
                     shared);
    const device::Bits128 made = device::cryptMessage<false>(
        gcm.key(), wordsOf(nonce), nullptr, 0, Once{slot.memory.data(), kBytes},
        device::PrivateText(reinterpret_cast<device::u8*>(plain.data()), kBytes), kBytes, shared);
    wrong += std::memcmp(&made, expected.tag.data(), sizeof made) != 0;
  });
  EXPECT_EQ(tag, expected.tag);
  for (const auto& n : puts) EXPECT_EQ(n, 1);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(plain, text);
}

/// As sealing_key.cuh says, by the CPU's cipher.
Bytes derived(const cc::Aead& aead, const Bytes& source, unsigned lane, std::uint64_t epoch) {
  cc::Nonce label = cc::nonceOf(epoch);
  label[0] = std::byte{'l'};
  label[1] = std::byte{'k'};
  label[2] = static_cast<std::byte>(lane >> 8);
  label[3] = static_cast<std::byte>(lane);
  return seal(aead, *expand(aead, source), label, {}, Bytes(32)).cipher;
}

Bytes bytesOf(const device::RecordName& name) {
  Bytes bytes(sizeof name);
  std::memcpy(bytes.data(), &name, sizeof name);
  return bytes;
}

TYPED_TEST(GcmBlocks, TheKeyIsThatOfTheLaneAndOfTheCountersEpoch) {
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(7);
  static_assert(device::kMessagesPerEpoch == 8);
  const Bytes source = randomBytes(random, 32), text = randomBytes(random, 100);
  device::RecordName name;
  name.count = 25;
  name.receiver = -1;
  DeviceGcm<TypeParam::cipher> sealer(4), opener(4);
  const unsigned lane = 0x123;
  const auto* secret = reinterpret_cast<const device::u8*>(source.data());
  for (auto* gcm : {&sealer, &opener})
    gcm->run([&](auto& shared) { device::prepareLaneKey(gcm->key(), secret, lane, shared); });
  // In and out of order, within a kernel (where shared memory remembers the key) and from one to
  // the next.
  const std::uint64_t counters[] = {0, 7, 8, 9, 7, 16, 1ull << 40, 0};
  for (const bool oneKernel : {false, true}) {
    std::vector<Slot> slots(std::size(counters), Slot(text.size()));
    std::vector<Bytes> plains(std::size(counters), Bytes(text.size()));
    std::atomic<int> rejected = 0, accepted = 0;
    const auto sealOne = [&](std::size_t i, auto& shared) {
      device::sealMessage(sealer.key(), counters[i], name,
                          reinterpret_cast<const device::u8*>(text.data()), slots[i].out(),
                          slots[i].tag(), 100, shared);
    };
    const auto openOne = [&](std::size_t i, auto& shared) {
      auto* plain = reinterpret_cast<device::u8*>(plains[i].data());
      if (device::openMessage(opener.key(), counters[i] + 8, name, slots[i].out(), slots[i].tag(),
                              plain, 100, shared))
        ++accepted;
      if (!device::openMessage(opener.key(), counters[i], name, slots[i].out(), slots[i].tag(),
                               plain, 100, shared))
        ++rejected;
    };
    const auto runAll = [&](auto& gcm, const auto& one) {
      if (oneKernel)
        gcm.run([&](auto& shared) {
          for (std::size_t i = 0; i < slots.size(); ++i) one(i, shared);
        });
      else
        for (std::size_t i = 0; i < slots.size(); ++i)
          gcm.run([&](auto& shared) { one(i, shared); });
    };
    runAll(sealer, sealOne);
    runAll(opener, openOne);
    EXPECT_EQ(accepted, 0);
    EXPECT_EQ(rejected, 0);
    for (std::size_t i = 0; i < slots.size(); ++i) {
      SCOPED_TRACE(counters[i]);
      EXPECT_EQ(plains[i], text);
      const Bytes key = derived(*aead, source, lane, counters[i] / 8);
      const Sealed theirs =
          seal(*aead, *expand(*aead, key), cc::nonceOf(counters[i]), bytesOf(name), text);
      EXPECT_EQ(slots[i].sealed().cipher, theirs.cipher);
      EXPECT_EQ(slots[i].sealed().tag, theirs.tag);
    }
  }
  EXPECT_NE(derived(*aead, source, lane, 0), derived(*aead, source, lane + 1, 0));
}

TYPED_TEST(GcmBlocks, KeysTakeTurnsInSharedMemory) {
  const auto aead = cc::createAead("openssl");
  std::mt19937_64 random(8);
  const Bytes raw[2] = {randomBytes(random, 32), randomBytes(random, 32)};
  const Bytes text = randomBytes(random, 1000);
  device::SealingKey keys[2];
  std::vector<Slot> slots(6, Slot(text.size()));
  Bits128s seen(6);  // tags, by another thread than the one that stores them
  DeviceGcm<TypeParam::cipher> gcm(8);
  gcm.run([&](auto& shared) {
    for (int k = 0; k < 2; ++k)
      device::prepareKey(keys[k], reinterpret_cast<const device::u8*>(raw[k].data()), shared);
    for (unsigned i = 0; i < 6; ++i) {
      device::sealMessage(keys[i / 2 % 2], i, {}, reinterpret_cast<const device::u8*>(text.data()),
                          slots[i].out(), slots[i].tag(), 1000, shared);
      if (device::thread() == 7) seen[i] = device::load(slots[i].tag());
    }
  });
  for (unsigned i = 0; i < 6; ++i) {
    const auto key = expand(*aead, raw[i / 2 % 2]);
    const Sealed theirs = seal(*aead, *key, cc::nonceOf(i), bytesOf(device::RecordName{}), text);
    EXPECT_EQ(slots[i].sealed().tag, theirs.tag);
    EXPECT_EQ(std::memcmp(&seen[i], theirs.tag.data(), sizeof seen[i]), 0);
  }
}

TYPED_TEST(GcmBlocks, NothingIsLeftInSharedMemory) {
  std::mt19937_64 random(9);
  const Bytes key = randomBytes(random, 32);
  std::size_t left = 0;
  DeviceGcm<TypeParam::cipher> gcm(5);
  gcm.run([&](auto& shared) {
    device::prepareKey(gcm.key(), reinterpret_cast<const device::u8*>(key.data()), shared);
    device::useKey(gcm.key(), 0, shared);
    device::wipeShared(shared);
    const auto* bytes = reinterpret_cast<const device::u8*>(&shared);
    if (device::thread() == 0)
      for (std::size_t i = 0; i < sizeof shared; ++i) left += bytes[i] != 0;
  });
  EXPECT_EQ(left, 0u);
}

}  // namespace
}  // namespace lockstep::test
