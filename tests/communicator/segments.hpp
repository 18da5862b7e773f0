// Where an adversary strikes in a segment, and how.
#pragma once

#include <cstddef>
#include <cstdint>

#include "transport/shm/segment.hpp"

namespace lockstep::testing {

/// What the owner of a segment sends by one of its channels.
inline shm::OutArea& areaOf(std::byte* segment, int worldSize, int channel) {
  const shm::Layout layout(worldSize);
  return *reinterpret_cast<shm::OutArea*>(segment +
                                          layout.outArea(static_cast<std::size_t>(channel)));
}

/// What the adversary does is a race by nature; ThreadSanitizer need not tell.
__attribute__((no_sanitize("thread"))) inline void flip(std::byte* at, unsigned bits = 0x10) {
  auto* byte = reinterpret_cast<volatile std::uint8_t*>(at);
  *byte = static_cast<std::uint8_t>(*byte ^ bits);
}

}  // namespace lockstep::testing
