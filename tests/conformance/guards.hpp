// Bytes around a buffer that no call may touch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "support/world.hpp"

namespace lockstep::testing {

inline constexpr std::size_t kGuard = 128;  ///< bytes watched on either side of a buffer
inline constexpr std::byte kGuardByte{0xa5};

inline void guardAround(std::byte* buffer, std::size_t bytes) {
  std::fill_n(buffer - kGuard, kGuard, kGuardByte);
  std::fill_n(buffer + bytes, kGuard, kGuardByte);
}

/// Throws, naming `which` buffer, if a byte around it was written.
inline void checkGuards(const std::byte* buffer, std::size_t bytes,
                        const std::string& which = "a buffer") {
  const auto whole = [](std::byte b) { return b == kGuardByte; };
  require(std::all_of(buffer - kGuard, buffer, whole), "wrote before the begin of " + which);
  require(std::all_of(buffer + bytes, buffer + bytes + kGuard, whole),
          "wrote past the end of " + which);
}

}  // namespace lockstep::testing
