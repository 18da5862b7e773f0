#include "bootstrap/token.hpp"

#include <sys/random.h>

#include "base/fail.hpp"

namespace lockstep {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

template <class Array>
Array drawRandom() {
  Array bytes;
  // The kernel never returns fewer than 256 bytes once it has entropy (getrandom(2)), but a signal
  // may come while it still waits for some.
  while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    if (errno != EINTR) failErrno("cannot draw random bytes");
  return bytes;
}

}  // namespace

Token randomToken() {
  return drawRandom<Token>();
}

Nonce randomNonce() {
  return drawRandom<Nonce>();
}

std::string toHex(const Token& token) {
  std::string hex;
  for (const std::byte b : token) {
    hex += kDigits[std::to_integer<std::size_t>(b >> 4)];
    hex += kDigits[std::to_integer<std::size_t>(b & std::byte{15})];
  }
  return hex;
}

std::optional<Token> parseToken(std::string_view hex) {
  Token token;
  if (hex.size() != 2 * token.size()) return std::nullopt;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const auto high = kDigits.find(hex[2 * i]);
    const auto low = kDigits.find(hex[2 * i + 1]);
    if (high == kDigits.npos || low == kDigits.npos) return std::nullopt;
    token[i] = static_cast<std::byte>(high << 4 | low);
  }
  return token;
}

bool sameToken(const Token& a, const Token& b) {
  std::byte difference{0};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{0};
}

}  // namespace lockstep
