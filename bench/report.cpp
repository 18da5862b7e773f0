#include "bench/report.hpp"

#include <fmt/format.h>

#include "bench/bandwidth.hpp"

namespace lockstep::bench {

Timing timingOf(const Row& row, const Series& series, int ranks) {
  if (series.samples.empty()) return {};
  Timing timing;
  timing.p50 = median(series.samples);
  timing.p99 = quantile(series.samples, 0.99);
  timing.algbw = algorithmBandwidth(row.bytes, timing.p50);
  timing.busbw = timing.algbw * busFactor(row.op, ranks);
  return timing;
}

std::vector<Report> byOperation(const Report& report) {
  std::vector<Report> operations;
  for (const Collective op : report.config.ops) {
    Report& part = operations.emplace_back(report);
    part.config.ops = {op};
    if (!contractOf(op).hasData) part.config.types.clear();
    if (!contractOf(op).reduces) part.config.reductions.clear();
    for (NamedRun& run : part.runs)
      std::erase_if(run.result.rows, [&](const Row& row) { return row.op != op; });
  }
  return operations;
}

const Contract& contractOf(const Report& report) {
  return lockstep::contractOf(report.config.ops.front());
}

std::string ranksText(int ranks) {
  return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s");
}

std::vector<std::string> warnings(const Report& report) {
  if (!report.config.insecureKeys) return {};
  return {"keys are not authenticated (--insecure-keys): an active attacker can read everything"};
}

Ratio comparedWith(const Series& series, const Series& base) {
  return ratioOfMedians(series.samples, base.samples);
}

}  // namespace lockstep::bench
