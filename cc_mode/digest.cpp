#include "cc_mode/digest.hpp"

#include <algorithm>

#include <openssl/evp.h>

#include "base/fail.hpp"

namespace lockstep::cc {

Digest digest(std::string_view text) {
  Digest full{};
  unsigned int bytes = 0;
  if (EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(full.data()), &bytes,
                 EVP_sha256(), nullptr) != 1 ||
      bytes != full.size())
    fail(ErrorCode::system,
         "OpenSSL cannot compute SHA-256; is its provider configuration broken?");
  return full;
}

std::array<std::byte, 16> digest16(std::string_view text) {
  const Digest full = digest(text);
  std::array<std::byte, 16> half{};
  std::copy_n(full.begin(), half.size(), half.begin());
  return half;
}

}  // namespace lockstep::cc
