// The published cases of AES-256-GCM, for whoever implements it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "cc_mode/aead_fixture.hpp"
#include "cc_mode/vectors.hpp"

namespace lockstep::test {

struct GcmCase {
  std::string label;
  Bytes key, iv, aad, plain, cipher, tag;
  bool valid = true;
};

/// We take 256-bit keys, 96-bit nonces and 128-bit tags only.
inline bool applies(const GcmCase& c) {
  return c.key.size() == cc::kKeyBytes && c.iv.size() == cc::kNonceBytes &&
         c.tag.size() == cc::kTagBytes;
}

template <class Array>
Array toArray(const Bytes& bytes) {
  Array array;
  std::copy_n(bytes.begin(), array.size(), array.begin());
  return array;
}

/// The cases of a .rsp file: "Name = value" lines, "Count" begins a case, "FAIL" makes it invalid.
inline std::vector<GcmCase> readRsp(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<GcmCase> cases;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    const std::size_t equals = line.find(" =");
    const std::string name = line.substr(0, equals);
    const std::string value =
        equals == std::string::npos || equals + 3 > line.size() ? "" : line.substr(equals + 3);
    if (name == "Count") {
      cases.emplace_back().label = path.filename().string() + " count " + value;
    } else if (!cases.empty()) {
      GcmCase& c = cases.back();
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

/// The cases of Wycheproof, or nothing where shared/vectors is not there.
inline std::optional<std::vector<GcmCase>> wycheproofGcm() {
  const auto file = wycheproof("wycheproof_aes_gcm_test.json");
  if (!file) return std::nullopt;
  std::vector<GcmCase> cases;
  for (const auto& group : file->at("testGroups"))
    for (const auto& test : group.at("tests")) {
      const auto hex = [&](const char* name) { return fromHex(test.at(name).get<std::string>()); };
      cases.push_back({.label = "tcId " + std::to_string(test.at("tcId").get<int>()),
                       .key = hex("key"),
                       .iv = hex("iv"),
                       .aad = hex("aad"),
                       .plain = hex("msg"),
                       .cipher = hex("ct"),
                       .tag = hex("tag"),
                       .valid = test.at("result") == "valid"});
    }
  return cases;
}

}  // namespace lockstep::test
