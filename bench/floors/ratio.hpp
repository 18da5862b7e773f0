// How one thing's time compares with another's that was measured in turn with it.
#pragma once

#include <span>

namespace lockstep::floors {

struct Ratio {
  double value = 0, low = 0, high = 0;
};

/// Median of a[i] / b[i], which were measured one after the other, so that what disturbed one
/// disturbed the other; and its 95 % interval by order statistics. As many of one as of the other,
/// and at least one.
Ratio ratioOfNeighbours(std::span<const double> a, std::span<const double> b);

}  // namespace lockstep::floors
