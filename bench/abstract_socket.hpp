// Unix sockets in the abstract namespace: they have no file, so nothing is left behind.
#pragma once

#include <string>

#include "base/fd.hpp"

namespace lockstep::bench {

/// A listening socket; `name` receives the name it was given, which no one can guess. Throws
/// system.
Fd listenAbstract(std::string& name);
/// The next connection, accepted without waiting; empty when there is none or it comes from another
/// user.
Fd acceptSameUser(const Fd& listener);
/// Throws system.
Fd connectAbstract(const std::string& name);

}  // namespace lockstep::bench
