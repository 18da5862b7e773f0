#include "bench/bound.hpp"

namespace lockstep::bench {
namespace {

double microseconds(double bytes, double bytesPerSecond) {
  return bytesPerSecond > 0 ? bytes / bytesPerSecond * 1e6 : 0;
}

}  // namespace

Bound boundOf(const Row& row, const Series& series, const Rates& rates, int ranks, int cores) {
  const CallBytes& b = series.bytes;
  const int turns = (ranks + cores - 1) / cores;
  const double reduced =
      static_cast<double>(row.bytes) * (series.plan.algorithm == "one_shot" ? ranks : 1);
  return {turns * (microseconds(b.sealed, rates.seal) + microseconds(b.opened, rates.open)),
          turns * microseconds(b.sealed + b.opened, rates.copy),
          turns * microseconds(reduced, rates.reduce)};
}

}  // namespace lockstep::bench
