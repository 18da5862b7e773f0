// What an Aead promises beyond the cipher: agreement of the two, refusal, zeroing, empty records.
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mapping.hpp"
#include "cc_mode/aead_fixture.hpp"

namespace lockstep::test {
namespace {

Bytes randomBytes(std::mt19937& random, std::size_t size) {
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

TEST(Aead, AtLeastOneIsHereAndTheDefaultIsTheFirst) {
  const auto all = allAeads();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(cc::createAead()->name(), all.front()->name());
}

TEST(Aead, UnknownNameListsTheKnown) {
  try {
    cc::createAead("rot13");
    FAIL() << "made a cipher called rot13";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_THAT(e.what(),
                testing::AllOf(testing::HasSubstr("rot13"), testing::HasSubstr("openssl")));
  }
}

TEST(Aead, AllAgreeOnRandomLengths) {
  std::mt19937 random(1);
  const auto all = allAeads();
  std::vector<std::size_t> lengths{0, 1, 15, 16, 17, 255, 256, 257, 4096, 16384, 70000};
  for (int i = 0; i < 100; ++i) lengths.push_back(random() % 70001);
  for (const std::size_t length : lengths) {
    SCOPED_TRACE(length);
    const Bytes key = randomBytes(random, cc::kKeyBytes), plain = randomBytes(random, length);
    const Bytes aad = randomBytes(random, random() % 100);
    const cc::Nonce nonce = cc::nonceOf(random());
    const Sealed expected = seal(*all.front(), *expand(*all.front(), key), nonce, aad, plain);
    for (const auto& aead : all) {
      const auto expanded = expand(*aead, key);
      const Sealed sealed = seal(*aead, *expanded, nonce, aad, plain);
      EXPECT_EQ(sealed.cipher, expected.cipher);
      EXPECT_EQ(sealed.tag, expected.tag);
      Bytes opened;
      EXPECT_TRUE(open(*aead, *expanded, nonce, aad, sealed, opened));
      EXPECT_EQ(opened, plain);
    }
  }
}

TEST(Aead, InPlace) {
  std::mt19937 random(2);
  for (const auto& aead : allAeads()) {
    const auto key = expand(*aead, randomBytes(random, cc::kKeyBytes));
    const Bytes plain = randomBytes(random, 5000);
    Bytes buffer = plain;
    cc::Tag tag;
    aead->seal(*key, cc::nonceOf(7), {}, view(buffer), view(buffer), tag);
    EXPECT_NE(buffer, plain);
    Bytes forged = buffer;
    EXPECT_TRUE(aead->open(*key, cc::nonceOf(7), {}, view(buffer), tag, view(buffer)));
    EXPECT_EQ(buffer, plain);
    forged[4999] ^= std::byte{1};
    EXPECT_FALSE(aead->open(*key, cc::nonceOf(7), {}, view(forged), tag, view(forged)));
    EXPECT_TRUE(isZero(forged));
  }
}

TEST(Aead, NullPointersOfSizeZero) {
  for (const auto& aead : allAeads()) {
    const auto key = expand(*aead, Bytes(cc::kKeyBytes, std::byte{9}));
    cc::Tag tag{};
    aead->seal(*key, cc::nonceOf(1), {}, {}, {}, tag);
    EXPECT_NE(tag, cc::Tag{});
    EXPECT_TRUE(aead->open(*key, cc::nonceOf(1), {}, {}, tag, {}));
    tag[3] ^= std::byte{0x80};
    EXPECT_FALSE(aead->open(*key, cc::nonceOf(1), {}, {}, tag, {}));
  }
}

TEST(Aead, AnyFlippedBitIsRefusedAndNothingReleased) {
  std::mt19937 random(3);
  for (const auto& aead : allAeads()) {
    SCOPED_TRACE(aead->name());
    const Bytes key = randomBytes(random, cc::kKeyBytes), aad = randomBytes(random, 21);
    const auto expanded = expand(*aead, key);
    const cc::Nonce nonce = cc::nonceOf(0x0102030405060708);
    const Sealed good = seal(*aead, *expanded, nonce, aad, randomBytes(random, 77));
    const auto refused = [&](cc::ExpandedKey& k, const cc::Nonce& n, const Bytes& a,
                             const Sealed& s) {
      Bytes plain;
      return !open(*aead, k, n, a, s, plain) && isZero(plain);
    };
    const auto flip = [](auto& bytes, std::size_t bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    };
    for (std::size_t bit = 0; bit < good.cipher.size() * 8; ++bit) {
      Sealed bad = good;
      flip(bad.cipher, bit);
      ASSERT_TRUE(refused(*expanded, nonce, aad, bad)) << "ciphertext bit " << bit;
    }
    for (std::size_t bit = 0; bit < cc::kTagBytes * 8; ++bit) {
      Sealed bad = good;
      flip(bad.tag, bit);
      ASSERT_TRUE(refused(*expanded, nonce, aad, bad)) << "tag bit " << bit;
    }
    for (std::size_t bit = 0; bit < aad.size() * 8; ++bit) {
      Bytes bad = aad;
      flip(bad, bit);
      ASSERT_TRUE(refused(*expanded, nonce, bad, good)) << "additional data bit " << bit;
    }
    for (std::size_t bit = 0; bit < cc::kNonceBytes * 8; ++bit) {
      cc::Nonce bad = nonce;
      flip(bad, bit);
      ASSERT_TRUE(refused(*expanded, bad, aad, good)) << "nonce bit " << bit;
    }
    for (std::size_t bit = 0; bit < cc::kKeyBytes * 8; bit += 13) {
      Bytes bad = key;
      flip(bad, bit);
      ASSERT_TRUE(refused(*expand(*aead, bad), nonce, aad, good)) << "key bit " << bit;
    }
    Bytes plain;
    EXPECT_TRUE(open(*aead, *expanded, nonce, aad, good, plain)) << "after all these failures";
  }
}

TEST(Aead, DifferentSizesAreABug) {
  for (const auto& aead : allAeads()) {
    const auto key = expand(*aead, Bytes(cc::kKeyBytes));
    Bytes small(15), large(16);
    cc::Tag tag{};
    EXPECT_THROW(aead->seal(*key, cc::nonceOf(0), {}, view(large), view(small), tag), Error);
    EXPECT_THROW((void)aead->open(*key, cc::nonceOf(0), {}, view(large), tag, view(small)), Error);
  }
}

/// In builds with LOCKSTEP_CHECK_PRIVATE, as all are that have tests.
TEST(Aead, SharedMemoryIsRefusedWhereverItIsGiven) {
  const auto shared =
      Mapping::ofFile(createSharedMemory("aead", kPage), kPage, Mapping::Access::readWrite);
  const cc::PrivateBytes slot(shared.data(), 64);  // which it is not
  auto& sharedTag = *reinterpret_cast<cc::Tag*>(shared.data());
  for (const auto& aead : allAeads()) {
    const auto key = expand(*aead, Bytes(cc::kKeyBytes));
    const cc::Nonce nonce = cc::nonceOf(0);
    Bytes bytes(64);
    const cc::PrivateBytes ours = view(bytes);
    cc::Tag tag{};
    const auto seal = [&](cc::ConstPrivateBytes aad, cc::ConstPrivateBytes plain,
                          cc::PrivateBytes cipher,
                          cc::Tag& to) { aead->seal(*key, nonce, aad, plain, cipher, to); };
    const auto open = [&](cc::ConstPrivateBytes aad, cc::ConstPrivateBytes cipher,
                          const cc::Tag& from, cc::PrivateBytes plain) {
      (void)aead->open(*key, nonce, aad, cipher, from, plain);
    };
    EXPECT_NO_THROW(seal(ours, ours, ours, tag));
    EXPECT_NO_THROW(open(ours, ours, tag, ours));
    EXPECT_THROW(seal(slot, ours, ours, tag), Error) << aead->name();
    EXPECT_THROW(seal(ours, slot, ours, tag), Error);
    EXPECT_THROW(seal(ours, ours, slot, tag), Error);
    EXPECT_THROW(seal(ours, ours, ours, sharedTag), Error);
    EXPECT_THROW(open(slot, ours, tag, ours), Error);
    EXPECT_THROW(open(ours, slot, tag, ours), Error);
    EXPECT_THROW(open(ours, ours, sharedTag, ours), Error);
    EXPECT_THROW(open(ours, ours, tag, slot), Error);
  }
}

TEST(Aead, OneInstanceServesManyThreads) {
  for (const auto& aead : allAeads()) {
    std::vector<int> failures(4);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        const auto at = static_cast<std::size_t>(t);
        const Bytes plain(1000 + at, static_cast<std::byte>(t));
        const auto key = expand(*aead, Bytes(cc::kKeyBytes, static_cast<std::byte>(t + 1)));
        for (std::uint64_t n = 0; n < 500; ++n) {
          Bytes opened;
          const Sealed sealed = seal(*aead, *key, cc::nonceOf(n), {}, plain);
          if (!open(*aead, *key, cc::nonceOf(n), {}, sealed, opened) || opened != plain)
            ++failures[at];
        }
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(failures, testing::Each(0));
  }
}

TEST(Aead, NonceIsTheNumberBigEndian) {
  const cc::Nonce nonce = cc::nonceOf(0x0102030405060708);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(nonce[i], std::byte{0});
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(nonce[4 + i], static_cast<std::byte>(i + 1));
}

}  // namespace
}  // namespace lockstep::test
