// Joining what two sources tell about the same machine.
#pragma once

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// `first`, completed by what only `second` knows. Rows are the same where their host and NUMA
/// number, or bus id, or (NICs) PCI device and name are; where `first` names no host, hosts are not
/// compared. Where both know something, `first` is right: a hint file is there to correct what a
/// virtual machine shows. Devices that only `second` has are added where it has them: below the
/// same switch or CPU, if `first` has that.
Inventory merge(const Inventory& first, const Inventory& second);

}  // namespace lockstep::topology
