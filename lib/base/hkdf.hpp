// SHA-256 and what is made of it: HMAC, and HKDF (RFC 5869); and SHA-512. By OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace lockstep {

inline constexpr std::size_t kHashBytes = 32;
using Hash = std::array<std::byte, kHashBytes>;

inline std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// All throw system if OpenSSL refuses.
Hash sha256(std::span<const std::byte> data);
std::array<std::byte, 64> sha512(std::span<const std::byte> data);
Hash hmacSha256(std::span<const std::byte> key, std::span<const std::byte> data);

/// A pseudorandom key out of `secret`, which is not empty. An empty salt stands for 32 zero bytes.
void hkdfExtract(std::span<const std::byte> salt, std::span<const std::byte> secret,
                 std::span<std::byte, kHashBytes> pseudorandomKey);
/// `key` out of a pseudorandom key, for the purpose that `info` names; at most 255 * 32 bytes.
void hkdfExpand(std::span<const std::byte, kHashBytes> pseudorandomKey,
                std::span<const std::byte> info, std::span<std::byte> key);

/// In time that depends on the length alone.
bool equalInConstantTime(const Hash& a, const Hash& b);

}  // namespace lockstep
