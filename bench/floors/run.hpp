// What the ranks of a team measure, and the tables of it.
#pragma once

#include <nlohmann/json.hpp>

#include "bench/floors/pair.hpp"
#include "bench/floors/settings.hpp"

namespace lockstep::floors {

/// What runPair takes of shared memory, per rank. Bytes.
std::size_t sideOfPair(const Settings& settings);
/// The wanted parts of two ranks. Both at once; rank 0 prints, and its result is the one to keep.
nlohmann::json runPair(Pair& pair, const Settings& settings);
/// As runPair, the parts of more ranks.
nlohmann::json runTeam(Team& team, const Settings& settings);

}  // namespace lockstep::floors
