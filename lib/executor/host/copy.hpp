// Copying bytes, through the cache or past it.
#pragma once

#include <cstddef>

namespace lockstep::host {

/// Slots are written past the cache from this size. Another core that loads a line which is
/// modified in ours takes about 30 ns for it on the Zen 4 machine where bench/floors measured this
/// (2 GB/s); the same line comes four times faster from memory. Where the cores share a cache it is
/// the other way round for small messages; the threshold is the compromise.
inline constexpr std::size_t kSlotStreamingBytes = 1024;

/// Copies `n` bytes from `src` to `dst`, which do not overlap. No alignment is asked for.
/// `streaming` writes past the cache (non-temporal stores, fenced before it returns): for more than
/// the cache holds, and for what another core reads later.
void copyBytes(void* dst, const void* src, std::size_t n, bool streaming);

}  // namespace lockstep::host
