// The keys of masked sums, apart from those that seal records.
#pragma once

#include <array>
#include <cstddef>

#include "cc_mode/aead/aead.hpp"

namespace lockstep::cc {

/// What one rank holds, as the key exchange made them (keys/README.md). Ranks stand in a ring.
struct MaskKeys {
  using Key = std::array<std::byte, kKeyBytes>;
  Key before{};  ///< shared with the rank before this one; of two ranks, the one key of both
  Key after{};   ///< shared with the rank after it
  Key group{};   ///< of what is left when all pads are added: all members hold it
  Key tags{};    ///< of the secret multipliers: all members hold it
};

}  // namespace lockstep::cc
