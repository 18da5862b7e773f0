// What the fake NVRTC makes and the fake driver loads: a shared object with this in front.
#pragma once

#include <cstdint>

namespace lockstep::cuda::fake {

struct ImageHead {
  char magic[24] = "LOCKSTEP-FAKE-CUBIN";
  std::uint32_t chip = 0;    ///< 90 for sm_90
  std::uint32_t forAny = 0;  ///< 1: as PTX, for that chip and all newer ones
  std::uint64_t bytes = 0;   ///< of the shared object
};
static_assert(sizeof(ImageHead) == 40);

}  // namespace lockstep::cuda::fake
