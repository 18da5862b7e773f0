// Published test vectors, and hexadecimal text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace lockstep::test {

inline std::vector<std::byte> fromHex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

/// A Wycheproof file out of shared/vectors, or nothing where that folder is not there.
inline std::optional<nlohmann::json> wycheproof(const std::string& file) {
  std::ifstream in(LOCKSTEP_SHARED_DIR "/vectors/" + file);
  if (!in) return std::nullopt;
  return nlohmann::json::parse(in);
}

/// A NIST CAVP file of the Debian package python3-cryptography-vectors, or nothing.
inline std::optional<std::filesystem::path> cavp(const std::string& file) {
  for (const char* packages : {"/usr/lib/python3/dist-packages", "/usr/lib/python3/site-packages",
                               "/usr/local/lib/python3/dist-packages"}) {
    const auto path =
        std::filesystem::path(packages) / "cryptography_vectors/ciphers/AES/GCM" / file;
    if (std::filesystem::exists(path)) return path;
  }
  return std::nullopt;
}

}  // namespace lockstep::test
