// The ranks' processes: started, pinned, ended together.
#pragma once

#include <array>
#include <functional>

#include <nlohmann/json.hpp>

namespace lockstep::floors {

/// The first two CPUs this process may use. Throws unsupported when there is but one: the floors
/// spin without yielding.
std::array<int, 2> twoCpus();

/// Runs `part` in a process for each rank, on two CPUs by turns; each is told its rank and its CPU.
/// When one fails the others are ended too. What rank 0 returns; throws aborted if a rank failed,
/// which has then said why.
nlohmann::json runRanks(int ranks, const std::function<nlohmann::json(int rank, int cpu)>& part);

}  // namespace lockstep::floors
