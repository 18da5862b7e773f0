// Which memory of this process others may write too. Known only in builds with
// LOCKSTEP_CHECK_PRIVATE, where ciphers refuse it; elsewhere nothing is noted and nothing asked.
#pragma once

#include <cstddef>

namespace lockstep {

/// Said by Mapping: of what it has mapped shared, and of all that it is about to unmap.
void addSharedRange(const void* data, std::size_t bytes);
void removeSharedRange(const void* data) noexcept;

/// Does any of these bytes lie in a Mapping::ofFile? Any thread may ask at any time; it takes a
/// reader's lock, and neither allocates nor asks the kernel. Always false without
/// LOCKSTEP_CHECK_PRIVATE.
bool isShared(const void* data, std::size_t bytes);

}  // namespace lockstep
