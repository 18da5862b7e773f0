// How fast a link of each kind is, one direction: the figures, each with its source.
#pragma once

#include "topology/inventory/inventory.hpp"
#include "topology/inventory/units.hpp"

namespace lockstep::topology {

/// Data per second over a PCIe link: not known if its speed or width is not.
Bandwidth pcieBandwidth(const PcieLink& link);
/// One NVLink of a GPU of this compute capability, times 10.
Bandwidth nvlinkBandwidth(int sm);
/// One xGMI link of an AMD GPU: `gcn` as RCCL writes it, "gfx942" or "906".
Bandwidth xgmiBandwidth(std::string_view gcn);
/// Between the NUMA nodes of two CPUs.
Bandwidth interCpuBandwidth(const Cpu& a, const Cpu& b);

}  // namespace lockstep::topology
