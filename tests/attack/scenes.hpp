// Scenes to attack, drawn at random, and stepped worlds to play them in.
#pragma once

#include <random>

#include "attack/stepped_world.hpp"

namespace lockstep::testing {

/// Any collective by any algorithm, or transfers; of one tile or several, in lines or slots.
/// `several`: a collective of more tiles than a channel has slots, some of them in flight together.
Scene drawScene(std::mt19937& random, bool several = false);

/// Of more messages than a channel has slots, which their writers may send before any is read.
Scene drawLongScene(std::mt19937& random);

/// Worlds of a size, made once and made as new by `renew`. The second is apart from the first.
SteppedWorld& steppedWorld(int world, bool second = false);

}  // namespace lockstep::testing
