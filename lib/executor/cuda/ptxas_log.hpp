// What ptxas says with --verbose.
#pragma once

#include <string_view>

#include "executor/cuda/kernel.hpp"

namespace lockstep::cuda {

/// What the kernel of this name takes. Its spills are those of the functions that it calls, too.
/// What the log does not say, or says in a way not known here, is unknown.
Resources resourcesIn(std::string_view log, std::string_view kernel);

}  // namespace lockstep::cuda
