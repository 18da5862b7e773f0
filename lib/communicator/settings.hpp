// Environment variables. The table in settings.cpp has all of them; launch.cpp reads those that say
// which rank this is.
#pragma once

#include <lockstep/communicator.hpp>

namespace lockstep {

/// `options` with what the environment says for everything the caller left at its default. Throws
/// invalidArgument for a value that makes no sense, naming the variable.
Options withEnvironment(Options options);

}  // namespace lockstep
