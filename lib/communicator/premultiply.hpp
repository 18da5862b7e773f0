// The pass before a premultiplied sum: from then on it is a sum of products.
#pragma once

#include <cstddef>

#include "base/mapping.hpp"
#include <lockstep/types.hpp>

namespace lockstep {

/// Throws invalidArgument for a factor that integers of `type` cannot take.
void checkFactor(Collective collective, DataType type, double factor);

/// Multiplies what a rank gives, and keeps memory for products that have no place of the caller's.
class Premultiplier {
 public:
  /// `bytes` of `in` times `factor`. In `out`, which is `in` or does not overlap it; if null, in
  /// private memory that the next call writes again. Throws system.
  void* multiply(DataType type, double factor, const void* in, std::size_t bytes, void* out);

 private:
  Mapping products_;  ///< as large as was ever needed
};

}  // namespace lockstep
