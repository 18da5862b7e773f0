// base/hkdf.hpp under the names that it has in cc_mode.
#pragma once

#include <cstddef>
#include <span>

#include "base/hkdf.hpp"

namespace lockstep::cc {

using Bytes = std::span<const std::byte>;
using lockstep::bytesOf;
using lockstep::equalInConstantTime;
using lockstep::Hash;
using lockstep::hkdfExpand;
using lockstep::hkdfExtract;
using lockstep::hmacSha256;
using lockstep::kHashBytes;
using lockstep::sha256;
using lockstep::sha512;

}  // namespace lockstep::cc
