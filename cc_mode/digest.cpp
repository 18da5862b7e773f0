#include "cc_mode/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "base/fail.hpp"

namespace lockstep::cc {

std::array<std::byte, 16> digest16(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> full{};
  unsigned int bytes = 0;
  if (EVP_Digest(text.data(), text.size(), full.data(), &bytes, EVP_sha256(), nullptr) != 1 || bytes != 32)
    fail(ErrorCode::system, "OpenSSL cannot compute SHA-256; is its provider configuration broken?");
  std::array<std::byte, 16> half{};
  std::transform(full.begin(), full.begin() + half.size(), half.begin(),
                 [](unsigned char c) { return static_cast<std::byte>(c); });
  return half;
}

}  // namespace lockstep::cc
