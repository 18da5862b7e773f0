// 128 random bits: what a rank must know to be let in. And 256, for proofs that fit one occasion.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

using Token = std::array<std::byte, 16>;
using Nonce = std::array<std::byte, 32>;

/// Fresh random bits from the kernel. Throw system.
Token randomToken();
Nonce randomNonce();
/// 32 lower-case hexadecimal digits.
std::string toHex(const Token& token);
/// Reads exactly what toHex writes.
std::optional<Token> parseToken(std::string_view hex);
/// Compares in a time that does not tell how many bytes agree.
bool sameToken(const Token& a, const Token& b);

}  // namespace lockstep
