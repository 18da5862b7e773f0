// Independent pieces of work on a few threads.
#pragma once

#include <cstddef>
#include <functional>

namespace lockstep::cuda {

/// Calls body(0) .. body(count - 1), begun in this order, on `threads` threads of which the
/// caller's is one (0: one per core, 16 at most; fewer where the system gives no more). After an
/// error nothing new is begun; thrown is that of the lowest number, so the same one in every run.
void inParallel(std::size_t count, int threads, const std::function<void(std::size_t)>& body);

}  // namespace lockstep::cuda
