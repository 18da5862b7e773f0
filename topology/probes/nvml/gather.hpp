// Asking NVML everything, once.
#pragma once

#include "topology/probes/nvml/library.hpp"
#include "topology/probes/nvml/records.hpp"

namespace lockstep::topology::nvml {

/// More GPUs than any machine has: a driver that claims more is not believed.
inline constexpr unsigned kMostGpus = 256;

MachineRecord gather(const Functions& nvml);

}  // namespace lockstep::topology::nvml
