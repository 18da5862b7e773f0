// A compiled kernel as the bytes of a file of the cache.
//
//   8 bytes   "LCKUBIN1"
//   32 bytes  SHA-256 of the rest
//   32 bytes  key
//   fields    lengths and numbers are 8 bytes, little-endian
//
// The digest finds what is cut short or damaged. It is no signature: whoever may write a file may
// write its digest, so files count only where nobody else may write (cache.hpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cc_mode/digest.hpp"
#include "executor/cuda/kernel.hpp"

namespace lockstep::cuda {

std::string encodeCubin(const cc::Digest& key, const Cubin& cubin);

/// Nothing if `file` is not, bit for bit, what encodeCubin makes of some kernel and this key.
std::optional<Cubin> decodeCubin(const cc::Digest& key, std::string_view file);

/// `rest` with what a file begins with: a sound digest over anything, for tests.
std::string withDigest(std::string_view rest);

}  // namespace lockstep::cuda
