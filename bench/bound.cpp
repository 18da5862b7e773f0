#include "bench/bound.hpp"

namespace lockstep::bench {
namespace {

double microseconds(double bytes, double bytesPerSecond) {
  return bytesPerSecond > 0 ? bytes / bytesPerSecond * 1e6 : 0;
}

/// Whether some rank reduces the whole messages of all, instead of everyone a part.
bool reducesWhole(Operation op, const std::string& algorithm) {
  return (op == Operation::allReduce && algorithm == "one_shot") ||
         (op == Operation::reduce && algorithm == "direct");
}

double reducedBytes(const Row& row, const Series& series, int ranks) {
  if (!contractOf(row.op).reduces) return 0;
  return static_cast<double>(row.bytes) * (reducesWhole(row.op, series.plan.algorithm) ? ranks : 1);
}

}  // namespace

Bound boundOf(const Row& row, const Series& series, const Rates& rates, int ranks, int cores) {
  const double sealed = series.bytes.sealed, opened = series.bytes.opened;
  const Bound sealing{microseconds(sealed, rates.seal), microseconds(sealed, rates.copy), 0};
  const Bound opening{microseconds(opened, rates.open), microseconds(opened, rates.copy),
                      microseconds(reducedBytes(row, series, ranks), rates.reduce)};
  if (contractOf(row.op).rooted) return sealing.total() > opening.total() ? sealing : opening;
  const int turns = (ranks + cores - 1) / cores;
  return {turns * (sealing.crypto + opening.crypto), turns * (sealing.copies + opening.copies),
          turns * opening.reduce};
}

}  // namespace lockstep::bench
