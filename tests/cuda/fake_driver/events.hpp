#pragma once

#include <cstddef>

namespace lockstep::cuda::fake {

std::size_t eventsAlive();

}  // namespace lockstep::cuda::fake
