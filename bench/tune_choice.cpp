#include "bench/tune_choice.hpp"

namespace lockstep::bench {

bool surelyFaster(const std::vector<double>& one, const std::vector<double>& other) {
  const Interval interval = ratioOfMedians(other, one).interval;
  return interval.low >= kWorthwhile && interval.high <= kWidest * interval.low;
}

std::size_t choose(const Finals& finals) {
  const auto& all = finals.samples;
  std::size_t best = 0;
  for (std::size_t i = 1; i < all.size(); ++i)
    if (median(all[i]) < median(all[best])) best = i;
  if (!surelyFaster(all[best], all[finals.builtIn])) return finals.builtIn;
  if (finals.neighbour < 0) return best;
  const auto neighbour = static_cast<std::size_t>(finals.neighbour);
  const bool asGood = !surelyFaster(all[best], all[neighbour]);
  return asGood && surelyFaster(all[neighbour], all[finals.builtIn]) ? neighbour : best;
}

}  // namespace lockstep::bench
