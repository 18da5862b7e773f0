// What it takes ranks to agree on keys.
#pragma once

#include <nlohmann/json.hpp>

namespace lockstep::floors {

/// Prints a table and returns it, for worlds of 2 to 16 ranks that are threads of this process: the
/// key exchange by itself over an all-gather in memory, and the creation of a communicator, clear
/// and sealed, in turn, `samples` times. Then what its parts take, one by one.
nlohmann::json reportHandshake(int samples);

}  // namespace lockstep::floors
