#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fail.hpp"

namespace lockstep::bench {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Five are all on one side of the true median in 6 % of cases: no range of them holds it in 95 %.
constexpr std::size_t kLeastForInterval = 6;

double quantileInPlace(std::vector<double>& samples, double q) {
  if (samples.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double position = q * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const auto nth = samples.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(samples.begin(), nth, samples.end());
  const double share = position - static_cast<double>(below);
  if (share == 0) return *nth;
  const double next = *std::min_element(nth + 1, samples.end());
  return *nth + share * (next - *nth);
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): the standard distributions differ between
/// libraries, and a report must not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  /// Below n; n is small, so that the bias of taking the high product bits does not matter.
  std::size_t below(std::size_t n) {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::size_t>(((z ^ (z >> 31)) >> 32) * n >> 32);
  }

 private:
  std::uint64_t state_;
};

/// Rounded up.
std::size_t cubeRoot(std::size_t n) {
  return static_cast<std::size_t>(std::ceil(std::cbrt(static_cast<double>(n))));
}

/// How much more the number of samples above the median varies than if they were independent: by
/// batch means, of batches as long as there are of them (sqrt(n)). At least 1.
double inflation(std::span<const double> samples, double middle) {
  const auto size = static_cast<std::size_t>(std::sqrt(static_cast<double>(samples.size())));
  const std::size_t batches = samples.size() / size;
  double squares = 0;
  for (std::size_t b = 0; b < batches; ++b) {
    double above = 0;  // less what is expected; ties with the median are neither
    for (const double sample : samples.subspan(b * size, size))
      above += sample > middle ? 0.5 : sample < middle ? -0.5 : 0;
    squares += above * above;
  }
  const double variance = squares / static_cast<double>(batches - 1);
  return std::max(1.0, variance / (static_cast<double>(size) / 4));
}

/// Of the median, with 95 %, if samples vary `inflation` times as much as independent ones would.
Interval medianInterval(std::span<const double> sorted, double inflation) {
  const auto n = static_cast<double>(sorted.size());
  const double reach = 1.96 * std::sqrt(n * inflation) / 2;
  const auto low = static_cast<std::size_t>(std::max(0.0, std::floor(n / 2 - reach)));
  const auto high = std::min(sorted.size() - 1, static_cast<std::size_t>(std::ceil(n / 2 + reach)));
  return {sorted[low], sorted[high]};
}

void checkPairs(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size() || a.empty())
    fail(ErrorCode::internal, "a ratio needs pairs of samples, not {} and {}", a.size(), b.size());
}

}  // namespace

double quantile(std::span<const double> samples, double q) {
  std::vector<double> copy(samples.begin(), samples.end());
  return quantileInPlace(copy, q);
}

double median(std::span<const double> samples) {
  return quantile(samples, 0.5);
}

double medianUncertainty(std::span<const double> samples) {
  if (samples.size() < kLeastForInterval) return kInfinity;
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const Interval interval = medianInterval(sorted, inflation(samples, median(samples)));
  return (interval.high - interval.low) / 2 / median(samples);
}

Ratio ratioOfMedians(std::span<const double> a, std::span<const double> b, Resampling how) {
  checkPairs(a, b);
  const std::size_t n = a.size();
  const double value = median(a) / median(b);
  if (n < kLeastForInterval) return {value, {-kInfinity, kInfinity}};
  const std::size_t block = how.block > 0 ? std::min(how.block, n) : cubeRoot(n);
  Random random(how.seed);
  std::vector<double> ratios, drawnA(n), drawnB(n);
  ratios.reserve(static_cast<std::size_t>(how.times));
  for (int r = 0; r < how.times; ++r) {
    for (std::size_t i = 0, pick = 0; i < n; ++i, ++pick) {
      if (i % block == 0) pick = random.below(n - block + 1);
      drawnA[i] = a[pick];
      drawnB[i] = b[pick];
    }
    ratios.push_back(quantileInPlace(drawnA, 0.5) / quantileInPlace(drawnB, 0.5));
  }
  return {value, {quantile(ratios, 0.025), quantile(ratios, 0.975)}};
}

Ratio medianOfRatios(std::span<const double> a, std::span<const double> b) {
  checkPairs(a, b);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  std::sort(ratios.begin(), ratios.end());
  return {median(ratios), medianInterval(ratios, 1)};
}

}  // namespace lockstep::bench
