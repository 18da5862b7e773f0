// Generations of PCIe and their transfer rates.
#pragma once

#include "topology/inventory/units.hpp"

namespace lockstep::topology {

/// PCIe generation of a transfer rate: 5 for 32 GT/s. 0 where it is none of them.
int pcieGeneration(TransferRate rate);
/// The transfer rate of PCIe generation 1 to 7; not known for others.
TransferRate pcieRate(int generation);

}  // namespace lockstep::topology
