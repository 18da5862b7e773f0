// Which of the plans that were timed together is to be used.
#pragma once

#include <cstddef>
#include <vector>

#include "bench/statistics.hpp"

namespace lockstep::bench {

/// A plan has to be this much faster than the built-in one, for sure, before it replaces it: less
/// would come and go from run to run, and every rule is one to be kept.
inline constexpr double kWorthwhile = 1.02;
/// Most that the ends of the interval may be apart, as a factor: beyond it something else than the
/// plans made the difference.
inline constexpr double kWidest = 1.5;

/// Whether plan `one` is faster than `other` by kWorthwhile, as far as samples of the same rounds
/// can tell: the whole 95 % interval, and that is no wider than kWidest.
bool surelyFaster(const std::vector<double>& one, const std::vector<double>& other);

/// Plans that were timed in the same rounds. Sample i of all is one round.
struct Finals {
  std::vector<std::vector<double>> samples;
  std::size_t builtIn = 0;        ///< which of them the built-in rules choose
  std::ptrdiff_t neighbour = -1;  ///< which was chosen for the next smaller size; -1: none
};

/// The built-in one, unless another is surely faster. Of those, the neighbour's where none is
/// surely faster than it: neighbours with the same plan share a rule. Otherwise the fastest.
std::size_t choose(const Finals& finals);

}  // namespace lockstep::bench
