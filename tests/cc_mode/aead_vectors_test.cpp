// Both AEADs against NIST CAVP and Wycheproof.
#include <algorithm>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "cc_mode/aead_fixture.hpp"
#include "cc_mode/vectors.hpp"

namespace lockstep::test {
namespace {

struct Case {
  std::string label;
  Bytes key, iv, aad, plain, cipher, tag;
  bool valid = true;
};

/// We take 256-bit keys, 96-bit nonces and 128-bit tags only.
bool applies(const Case& c) {
  return c.key.size() == cc::kKeyBytes && c.iv.size() == cc::kNonceBytes &&
         c.tag.size() == cc::kTagBytes;
}

template <class Array>
Array toArray(const Bytes& bytes) {
  Array array;
  std::copy_n(bytes.begin(), array.size(), array.begin());
  return array;
}

void check(const cc::Aead& aead, const Case& c) {
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

/// The cases of a .rsp file: "Name = value" lines, "Count" begins a case, "FAIL" makes it invalid.
std::vector<Case> readRsp(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<Case> cases;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    const std::size_t equals = line.find(" =");
    const std::string name = line.substr(0, equals);
    const std::string value =
        equals == std::string::npos || equals + 3 > line.size() ? "" : line.substr(equals + 3);
    if (name == "Count") {
      cases.emplace_back().label = path.filename().string() + " count " + value;
    } else if (!cases.empty()) {
      Case& c = cases.back();
      if (name == "Key") c.key = fromHex(value);
      if (name == "IV") c.iv = fromHex(value);
      if (name == "AAD") c.aad = fromHex(value);
      if (name == "PT") c.plain = fromHex(value);
      if (name == "CT") c.cipher = fromHex(value);
      if (name == "Tag") c.tag = fromHex(value);
      if (name == "FAIL") c.valid = false;
    }
  }
  return cases;
}

void checkRsp(const std::string& file, std::size_t atLeast, bool someInvalid) {
  const auto path = cavp(file);
  if (!path) GTEST_SKIP() << "the package python3-cryptography-vectors is not installed";
  std::size_t ran = 0, invalid = 0;
  const auto aeads = allAeads();
  for (const Case& c : readRsp(*path)) {
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
  const auto file = wycheproof("wycheproof_aes_gcm_test.json");
  if (!file) GTEST_SKIP() << "shared/vectors is not beside this checkout";
  const auto aeads = allAeads();
  std::size_t valid = 0, invalid = 0;
  for (const auto& group : file->at("testGroups"))
    for (const auto& test : group.at("tests")) {
      const auto hex = [&](const char* name) { return fromHex(test.at(name).get<std::string>()); };
      const Case c{.label = "tcId " + std::to_string(test.at("tcId").get<int>()),
                   .key = hex("key"),
                   .iv = hex("iv"),
                   .aad = hex("aad"),
                   .plain = hex("msg"),
                   .cipher = hex("ct"),
                   .tag = hex("tag"),
                   .valid = test.at("result") == "valid"};
      if (!applies(c)) continue;
      for (const auto& aead : aeads) check(*aead, c);
      ++(c.valid ? valid : invalid);
    }
  EXPECT_GE(valid, 30u);
  EXPECT_GE(invalid, 20u);
}

}  // namespace
}  // namespace lockstep::test
