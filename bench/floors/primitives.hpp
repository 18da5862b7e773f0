// What the machine's parts can do: the numbers that explain the floors.
#pragma once

#include <string>
#include <vector>

#include "bench/floors/pair.hpp"

namespace lockstep::floors {

struct Primitive {
  std::string name;
  double oneCore, bothCores;  ///< per core; NaN where it does not apply
  const char* unit;
};

/// Both ranks at once; both get the result.
std::vector<Primitive> measurePrimitives(Pair& pair);

}  // namespace lockstep::floors
