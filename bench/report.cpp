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

Report comparablePart(Report report) {
  std::size_t rows = report.runs.front().result.rows.size();
  for (const NamedRun& run : report.runs) rows = std::min(rows, run.result.rows.size());
  for (NamedRun& run : report.runs) run.result.rows.resize(rows);
  const auto& left = report.runs.front().result.rows;
  std::erase_if(report.config.ops, [&](Operation op) {
    return std::none_of(left.begin(), left.end(), [&](const Row& row) { return row.op == op; });
  });
  return report;
}

const Contract& contractOf(const Report& report) {
  return contractOf(report.config.ops.front());
}

bool sharesOneGpu(const RunConfig& config) {
  return config.gpu && config.gpus == 1 && config.ranks > 1;
}

std::optional<double> busyShare(const Report& report) {
  constexpr double kEnough = 0.9;
  double least = 1;
  for (const NamedRun& run : report.runs)
    if (run.result.coreShare > 0) least = std::min(least, run.result.coreShare);
  return least < kEnough ? std::optional(least) : std::nullopt;
}

std::string timeText(double microseconds) {
  if (microseconds < 1e3) return fmt::format("{:.3g} us", microseconds);
  if (microseconds < 1e6) return fmt::format("{:.3g} ms", microseconds / 1e3);
  return fmt::format("{:.3g} s", microseconds / 1e6);
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
  if (!report.complete)
    warnings.emplace_back("incomplete: the run ended early; this is what was done by then");
  warnings.insert(warnings.end(), report.notes.begin(), report.notes.end());
  const auto& modes = report.config.modes;
  if (report.config.insecureKeys && std::any_of(modes.begin(), modes.end(), isSealed))
    warnings.emplace_back(
        "keys are not authenticated (--insecure-keys): an active attacker can read everything");
  if (const auto share = busyShare(report))
    warnings.push_back(
        fmt::format("other work kept the cores busy: a rank had one {:.0f}% of the time it wanted "
                    "it between measurements, so do not trust times, shares and stars",
                    100 * *share));
  warnOfForce(report, "algorithm", report.config.algorithm, &PlanText::algorithm, warnings);
  warnOfForce(report, "protocol", report.config.protocol, &PlanText::protocol, warnings);
  return warnings;
}

Ratio comparedWith(const Series& series, const Series& base) {
  return ratioOfMedians(series.samples, base.samples);
}

}  // namespace lockstep::bench
