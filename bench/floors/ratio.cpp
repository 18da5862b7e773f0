#include "bench/floors/ratio.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "bench/statistics.hpp"

namespace lockstep::floors {

Ratio ratioOfNeighbours(std::span<const double> a, std::span<const double> b) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < b.size(); ++i) ratios.push_back(a[i] / b[i]);
  std::ranges::sort(ratios);
  // Order statistics n/2 -+ 1.96 sqrt(n)/2 bound the median with 95 % (binomial, normal
  // approximation); nothing is assumed about the distribution, which has a long tail.
  const auto n = static_cast<double>(ratios.size());
  const double reach = 1.96 * std::sqrt(n) / 2;
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - reach)));
  const auto high = static_cast<std::size_t>(std::min(n - 1, std::ceil(n / 2 + reach)));
  return {bench::median(ratios), ratios[low], ratios[high]};
}

}  // namespace lockstep::floors
