// Who shares what with whom, by the cells of a matrix.
#pragma once

#include "topology/readers/smi/groups.hpp"
#include "topology/readers/smi/matrix_text.hpp"

namespace lockstep::topology::smi {

/// Groups of devices, each within one of the next.
struct Nearness {
  Groups pix, pxb, node;
  Near of(std::size_t a, std::size_t b) const;
};

/// Where cells contradict each other (A is near B and B near C, but A is far from C), the nearer
/// relation is taken, and said in `report`.
Nearness nearnessOf(const Matrix& matrix, xml::Report& report);

}  // namespace lockstep::topology::smi
