// What samples say: quantiles, and how sure a ratio of medians is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lockstep::bench {

/// The q-quantile (0 <= q <= 1), interpolated between neighbours (type 7 of Hyndman and Fan,
/// American Statistician 50, 1996). NaN when there are no samples.
double quantile(std::span<const double> samples, double q);
double median(std::span<const double> samples);

/// Half the width of the 95 % confidence interval of the median, as a share of the median. From
/// order statistics n/2 +- 1.96 sqrt(n)/2 (binomial, normal approximation): no assumption about the
/// distribution. Samples that follow each other resemble each other, so n is divided by how much
/// more the number of those above the median varies for it (batch means, in the order given).
/// Infinity for fewer than 6 samples, where no such interval exists.
double medianUncertainty(std::span<const double> samples);

struct Interval {
  double low = 0, high = 0;
};

/// median(a) / median(b) with its 95 % interval.
struct Ratio {
  double value = 0;
  Interval interval;
};

/// How a bootstrap draws.
struct Resampling {
  int times = 1000;
  std::size_t block = 0;  ///< neighbours drawn together; 0: ceil(n^(1/3))
  std::uint64_t seed = 1;
};

/// a[i] and b[i] were measured one after the other, so what disturbed one disturbed the other: the
/// bootstrap draws pairs, and what they share cancels. What disturbs one round often lasts into the
/// next (ranks that share cores), so it draws blocks of successive pairs (moving blocks; Kuensch,
/// Annals of Statistics 17, 1989): one by one, the interval would be too narrow. Percentile
/// interval, fixed seed: the same samples give the same interval everywhere; without bounds for
/// fewer than 6 samples. Asks for equal, non-zero lengths.
Ratio ratioOfMedians(std::span<const double> a, std::span<const double> b, Resampling how = {});

/// Median of a[i] / b[i], which were measured one after the other, with the 95 % interval of a
/// median by order statistics (as medianUncertainty, but as if samples were independent): for few
/// batches on a machine whose speed jumps. Asks for equal, non-zero lengths.
Ratio medianOfRatios(std::span<const double> a, std::span<const double> b);

}  // namespace lockstep::bench
