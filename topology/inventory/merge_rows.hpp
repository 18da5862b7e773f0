// Completing a row with what another source knows of the same thing. Where both know something, the
// first is right. References to other rows stay as they are: merge() sees to them.
#pragma once

#include "topology/inventory/inventory.hpp"

namespace lockstep::topology {

/// Keeps `mine` where it is something else than `unknown`.
template <class Value>
void fill(Value& mine, const Value& theirs, const Value& unknown = Value{}) {
  if (mine == unknown) mine = theirs;
}

/// All but its host.
void fillCpu(Cpu& mine, const Cpu& theirs);
/// All but its place.
void fillPci(PciDevice& mine, const PciDevice& theirs);
/// All but its peers.
void fillGpu(Gpu& mine, const Gpu& theirs);
/// With its place: rows of `theirs` are those of the same inventory.
void fillNic(Nic& mine, const Nic& theirs);

}  // namespace lockstep::topology
