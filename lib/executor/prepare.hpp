// From a request to the schedule that an executor lowers: generated, delivered, sealed. The same
// for every executor.
#pragma once

#include "collectives/registry.hpp"
#include "collectives/schedule.hpp"
#include <lockstep/types.hpp>

namespace lockstep {

/// The schedule of `algorithm` in `mode`, for all ranks. Throws invalidArgument for a world size
/// that no schedule has, and for an algorithm that exposes memory in a sealed mode.
schedule::Schedule prepareSchedule(const schedule::Algorithm& algorithm, Mode mode, int worldSize,
                                   bool inPlace, int root);

}  // namespace lockstep
