// SHA-256 for binding, not for keys.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace lockstep::cc {

using Digest = std::array<std::byte, 32>;

/// SHA-256 of `text`. Throws system if OpenSSL fails.
Digest digest(std::string_view text);

/// The first 16 bytes of SHA-256 of `text`. Throws system if OpenSSL fails.
std::array<std::byte, 16> digest16(std::string_view text);

}  // namespace lockstep::cc
