// Why a key exchange ends.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include <fmt/format.h>

#include <lockstep/error.hpp>

namespace lockstep::cc {

/// Throws keyExchange, blaming `rank` (-1: no single one).
template <class... Args>
[[noreturn, gnu::cold]] void refuse(int rank, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(ErrorCode::keyExchange, rank, "key exchange",
              fmt::format(text, std::forward<Args>(args)...));
}

/// Every message has one length. An empty one is how a rank says that it failed earlier.
inline void checkLength(std::span<const std::byte> message, std::size_t expected, int rank) {
  if (message.empty() && expected > 0)
    refuse(rank, "rank {} gave up the key exchange; its own error says why", rank);
  if (message.size() != expected)
    refuse(
        rank,
        "rank {} sent a key exchange message of {} bytes instead of {}: it was damaged or forged "
        "on the way",
        rank, message.size(), expected);
}

}  // namespace lockstep::cc
