// Joining what two sources tell about the same machine.
#pragma once

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// `first`, completed by what only `second` knows. Rows are the same where their machine and NUMA
/// number, or bus id, or (NICs) name, port and PCI device are; a port or device that one of them
/// does not know does not tell them apart. Where both know something, `first` is right: a hint file
/// is there to correct what a virtual machine shows. Devices that only `second` has are added where
/// it has them: below the same switch or CPU, if `first` has that.
///
/// Machines are the same where their names (Cpu::host) are. Where one source has a machine without
/// a name and the other has none such, it is the other's first that is not in both; the name stays.
/// PCI devices without a CPU are of any machine that has one at their address.
///
/// Needs time in proportion to the rows, but for logarithms. Both must be sound, and the result is.
Inventory merge(const Inventory& first, const Inventory& second);

}  // namespace lockstep::topology
