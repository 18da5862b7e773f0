// What every part says whose keys turn out to be wiped, as they are in a forked child.
#pragma once

#include "base/fail.hpp"

namespace lockstep::cc {

/// Throws invalidArgument.
[[noreturn]] inline void refuseForkedChild() {
  fail(ErrorCode::invalidArgument,
       "this communicator belongs to the parent process and its keys do not survive a fork: "
       "create a communicator in the child");
}

}  // namespace lockstep::cc
