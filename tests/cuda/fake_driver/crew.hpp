// Threads that play blocks. They stay: starting one costs more than most kernels, and what a
// kernel's module keeps per thread is freed by the thread itself, which ThreadSanitizer can follow.
#pragma once

#include <cstddef>
#include <functional>

namespace lockstep::cuda::fake {

/// Calls `work(0)` to `work(count - 1)`, each on a thread of its own, all at once, and returns when
/// all have. They may wait for each other, so the program ends where there is no thread for one.
void playTogether(std::size_t count, const std::function<void(std::size_t)>& work) noexcept;

}  // namespace lockstep::cuda::fake
