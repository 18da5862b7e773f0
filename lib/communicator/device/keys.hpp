// Keys for the GPUs of a sealed communicator: drawn at random, and handed around through the host's
// own sealed channels, so that they are as secret and as authentic as these are.
#pragma once

#include "base/secret.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::gpu {

/// 32 bytes for each number that a lane gives its keys (Lane::keyOf): to each peer, from each peer,
/// each one's for the group. Collective. Throws keyExchange when ranks were given different keys
/// for the group, and what collectives throw.
SecretPages exchangeKeys(Communicator& control);

}  // namespace lockstep::gpu
