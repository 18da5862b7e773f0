// Both AEADs against NIST CAVP and Wycheproof.
#include <gtest/gtest.h>

#include "cc_mode/gcm_cases.hpp"

namespace lockstep::test {
namespace {

void check(const cc::Aead& aead, const GcmCase& c) {
  SCOPED_TRACE(std::string(aead.name()) + ", " + c.label);
  const auto key = expand(aead, c.key);
  const auto nonce = toArray<cc::Nonce>(c.iv);
  const Sealed given{c.cipher, toArray<cc::Tag>(c.tag)};
  Bytes plain;
  ASSERT_EQ(open(aead, *key, nonce, c.aad, given, plain), c.valid);
  if (!c.valid) {
    EXPECT_TRUE(isZero(plain));
    return;
  }
  EXPECT_EQ(plain, c.plain);
  const Sealed made = seal(aead, *key, nonce, c.aad, c.plain);
  EXPECT_EQ(made.cipher, given.cipher);
  EXPECT_EQ(made.tag, given.tag);
}

void checkRsp(const std::string& file, std::size_t atLeast, bool someInvalid) {
  const auto path = cavp(file);
  if (!path) GTEST_SKIP() << "the package python3-cryptography-vectors is not installed";
  std::size_t ran = 0, invalid = 0;
  const auto aeads = allAeads();
  for (const GcmCase& c : readRsp(*path)) {
    if (!applies(c)) continue;
    for (const auto& aead : aeads) check(*aead, c);
    ++ran;
    invalid += c.valid ? 0 : 1;
  }
  EXPECT_GE(ran, atLeast);
  EXPECT_EQ(invalid > 0, someInvalid);
}

// 5 plaintext x 5 additional data lengths x 15 cases with a 96-bit IV and a 128-bit tag.
TEST(AeadVectors, NistEncrypt) {
  checkRsp("gcmEncryptExtIV256.rsp", 375, false);
}
TEST(AeadVectors, NistDecrypt) {
  checkRsp("gcmDecrypt256.rsp", 375, true);
}

TEST(AeadVectors, Wycheproof) {
  const auto cases = wycheproofGcm();
  if (!cases) GTEST_SKIP() << "shared/vectors is not beside this checkout";
  const auto aeads = allAeads();
  std::size_t valid = 0, invalid = 0;
  for (const GcmCase& c : *cases) {
    if (!applies(c)) continue;
    for (const auto& aead : aeads) check(*aead, c);
    ++(c.valid ? valid : invalid);
  }
  EXPECT_GE(valid, 30u);
  EXPECT_GE(invalid, 20u);
}

}  // namespace
}  // namespace lockstep::test
