// When a size has been measured long enough.
#pragma once

#include <cstddef>
#include <span>

namespace lockstep::bench {

/// Rounds that every size gets however little time there is; with fewer there is no interval.
inline constexpr int kLeastRounds = 6;
/// Rounds that every size gets unless the whole budget is spent.
inline constexpr int kUsualRounds = 15;
/// Rounds after which more would not tell more: p99 is then the tenth largest.
inline constexpr int kMostRounds = 1000;
/// Relative half-width of the median's 95 % interval at which a size is known well enough.
inline constexpr double kPrecision = 0.005;

/// The time a size may take: of what is left of the budget, the share of its bytes among those of
/// the sizes that are left (itself first). Small messages count as 1 MiB, since their rounds are
/// short but need as many.
double timeShare(double secondsLeft, std::span<const std::size_t> sizesLeft);

/// `fixed` > 0: exactly that many rounds. Otherwise: until every contender is known to kPrecision
/// or the size's share is used, with at least kUsualRounds; when the whole budget runs out,
/// kLeastRounds.
struct StoppingRule {
  int fixed = 0;
  double share = 0;   ///< seconds for this size
  double budget = 0;  ///< seconds left for everything

  bool enough(int rounds, double elapsed, double worstUncertainty) const {
    if (fixed > 0) return rounds >= fixed;
    if (rounds < kLeastRounds) return false;
    if (elapsed >= budget || rounds >= kMostRounds) return true;
    return rounds >= kUsualRounds && (elapsed >= share || worstUncertainty <= kPrecision);
  }
};

}  // namespace lockstep::bench
