// A machine that has a given matrix of distances.
#pragma once

#include "topology/readers/smi/matrix_text.hpp"

namespace lockstep::topology::smi {

/// Domain of the bus ids that are made up here. Kernels count domains from 0, and give them 16 bits
/// but for a few from 0x10000 on; 0xfffffff is NCCL's for invisible switches.
inline constexpr std::uint32_t kMadeUpDomain = 0xffffffe;

/// Where cells contradict each other, the nearer relation is taken, and said in `report`.
Inventory inventoryOf(const Matrix& matrix, xml::Report& report);

}  // namespace lockstep::topology::smi
