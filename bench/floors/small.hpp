// Small sealed messages against clear ones: Lockstep beside itself.
#pragma once

#include <nlohmann/json.hpp>

#include "bench/floors/pair.hpp"

namespace lockstep::floors {

/// All-reduces of a few bytes by two ranks, clear and sealed in turn, `samples` times, and what
/// sealing and opening a record of that size takes. Both ranks at once, both get the table; rank 0
/// prints it.
nlohmann::json reportSmall(Pair& pair, int samples);

}  // namespace lockstep::floors
