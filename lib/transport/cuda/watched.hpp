// Calls of the driver that may never return.
#pragma once

#include <functional>

#include "base/clock.hpp"

namespace lockstep::cuda {

/// Runs `step` in a thread of its own and waits for it, at most until `deadline`. False: it has not
/// returned by then. Its thread is left behind, detached, with what `step` holds: so `step` must
/// own all it touches (values, shared_ptr), and its caller leaves that alone from then on. Throws
/// what `step` throws in time.
bool watched(std::function<void()> step, Deadline deadline);

}  // namespace lockstep::cuda
