// Copying bytes, through the cache or past it.
#pragma once

#include <cstddef>

namespace lockstep::host {

/// Copies `n` bytes from `src` to `dst`, which do not overlap. No alignment is asked for.
/// `streaming` writes past the cache (non-temporal stores, fenced before it returns): for more than
/// the cache holds, and for what another core reads later.
void copyBytes(void* dst, const void* src, std::size_t n, bool streaming);

}  // namespace lockstep::host
