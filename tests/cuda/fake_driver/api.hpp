// Every function of the driver that the library's symbol list (base/cuda/driver.hpp) has, by the
// list's names. Each refuses by throwing Refused.
#pragma once

#include "base/cuda/driver.hpp"
#include "cuda/fake_driver/exports.hpp"

namespace lockstep::cuda::fake {

LOCKSTEP_CUDA_REQUIRED(LOCKSTEP_FAKE_DECLARE)
LOCKSTEP_CUDA_OPTIONAL(LOCKSTEP_FAKE_DECLARE)

}  // namespace lockstep::cuda::fake
