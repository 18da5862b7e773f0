// What a rank's part of a masked sum costs, beside the cipher and the memory it cannot do without.
#pragma once

#include <nlohmann/json.hpp>

namespace lockstep::floors {

/// Measures on this thread, prints the table and returns it: of worlds of two and three ranks, one
/// rank's exponents, masks and results, `samples` times. The floor makes as many bytes of keystream
/// and copies as many bytes of words, once there and once back. Throws internal for a wrong sum.
nlohmann::json reportMasked(int samples);

}  // namespace lockstep::floors
