// The algorithms there are. Each lives in one file `collectives/<collective>/<name>.cpp` that
// defines `extern const Algorithm k<Collective><Name>`; CMake lists them (a static initialiser in a
// static archive would be dropped by the linker without a word).
#pragma once

#include <span>
#include <string_view>

#include "collectives/schedule.hpp"

namespace lockstep::schedule {

/// How data crosses: through channels, or by reading and writing exposed memory in place.
enum class Edges : std::uint8_t { channels, exposure };

/// A pure function from a shape to a schedule, and what is true of all its schedules.
struct Algorithm {
  std::string_view name;  ///< "two_shot"
  Collective collective;
  Edges edges;
  /// Every element is reduced in rank order 0, 1, .., P-1 in one pass: all algorithms that say so
  /// give the same bits.
  bool rankOrder;
  /// Fills everything but `programs`.
  Schedule (*describe)(const Shape&);
  /// The program of one rank: pure, so a rank can make its own and the proofs can make all.
  Program (*program)(const Shape&, int rank);
};

/// All algorithms, in a fixed order.
std::span<const Algorithm* const> algorithms();
/// nullptr when there is none.
const Algorithm* findAlgorithm(Collective, std::string_view name, Edges);

/// Describes and generates for all ranks. Throws invalidArgument when the world size is not
/// in 1..kMaxWorld.
Schedule generate(const Algorithm& algorithm, const Shape& shape);

}  // namespace lockstep::schedule
