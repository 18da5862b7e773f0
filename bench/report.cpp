#include "bench/report.hpp"

#include <algorithm>

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
  for (const Operation op : report.config.ops) {
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
  return contractOf(report.config.ops.front());
}

bool sharesOneGpu(const RunConfig& config) {
  return config.gpu && config.gpus == 1 && config.ranks > 1;
}

std::string ranksText(int ranks) {
  return fmt::format("{} rank{}", ranks, ranks == 1 ? "" : "s");
}

namespace {

/// For each operation of which no call ran what is forced.
void warnOfForce(const Report& report, const char* what, const std::string& forced,
                 std::string PlanText::*field, std::vector<std::string>& warnings) {
  if (forced.empty() || report.runs.empty()) return;
  for (const Operation op : report.config.ops) {
    const auto ranIt = [&](const Row& row) {
      return row.op == op && std::any_of(row.series.begin(), row.series.end(),
                                         [&](const Series& s) { return s.plan.*field == forced; });
    };
    const std::vector<Row>& rows = report.runs.front().result.rows;
    if (std::none_of(rows.begin(), rows.end(), ranIt))
      warnings.push_back(
          fmt::format("{} '{}' is forced, but {} cannot run it here: it runs what "
                      "it would without",
                      what, forced, name(op)));
  }
}

}  // namespace

std::vector<std::string> warnings(const Report& report) {
  std::vector<std::string> warnings;
  if (report.gpus && report.gpus->emulated)
    warnings.emplace_back(
        "emulated device: there is no GPU here, host threads play its kernels. What is computed is "
        "verified; the times mean nothing");
  warnings.insert(warnings.end(), report.notes.begin(), report.notes.end());
  if (report.config.insecureKeys)
    warnings.emplace_back(
        "keys are not authenticated (--insecure-keys): an active attacker can read everything");
  warnOfForce(report, "algorithm", report.config.algorithm, &PlanText::algorithm, warnings);
  warnOfForce(report, "protocol", report.config.protocol, &PlanText::protocol, warnings);
  return warnings;
}

Ratio comparedWith(const Series& series, const Series& base) {
  return ratioOfMedians(series.samples, base.samples);
}

}  // namespace lockstep::bench
