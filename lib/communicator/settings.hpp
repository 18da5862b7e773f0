// Environment variables. The table in settings.cpp is the only place that names them.
#pragma once

#include <lockstep/communicator.hpp>

namespace lockstep {

/// `options` with what the environment says for everything the caller left at its default. Throws
/// invalidArgument for a value that makes no sense, naming the variable.
Options withEnvironment(Options options);

}  // namespace lockstep
