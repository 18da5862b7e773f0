// NCCL's topology XML, for NCCL_TOPO_FILE and for our own reader.
#pragma once

#include <string>

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// As NCCL's own dumps look; version 2, RCCL's, where the inventory is of that version. Reading it
/// again gives the same rows, in the order of the tree: devices below their switch, GPUs and NICs
/// below their device.
///
/// The format has no place for what only a driver or the kernel tells: packages and models of CPUs,
/// names and capabilities of PCI devices, dead links, fabric, UUIDs, peers, whether a NIC is up,
/// and the driver. That is left out.
///
/// Of what is not known, the attributes that NCCL's reader demands are written as NCCL writes them:
/// link_speed="" link_width="0" of a <pci>, rank="-1" of a <gpu>. The others are left out (a GPU's
/// dev and sm, a NIC's dev, speed, guid and maxconn): NCCL then asks the system, and would believe
/// a "not known". What is below no CPU is written below one of numaid="-1", NCCL's word for that.
///
/// Throws Error(invalidArgument) where devices are nested deeper than the reader goes (60
/// switches).
std::string writeNcclXml(const Inventory& inventory);

}  // namespace lockstep::topology
