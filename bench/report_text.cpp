// The tables.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "bench/report.hpp"
#include "bench/text_table.hpp"

namespace lockstep::bench {
namespace {

/// Contenders that fit side by side in 120 columns.
constexpr std::size_t kSideBySide = 2;

std::string number(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size < 10 ? 2 : size < 1000 ? 1 : 0);
}

std::string percent(double ratio) {
  const double change = (ratio - 1) * 100;
  return fmt::format("{:+.{}f}", change, std::fabs(change) < 10 ? 1 : 0);
}

std::string bytesCell(double bytes) {
  return bytes > 0 ? formatBytes(bytes) : "-";
}

bool measured(const Series& series) {
  return !series.samples.empty();
}

/// Types and reductions are columns only where they differ.
struct RowHead {
  explicit RowHead(const RunConfig& c)
      : types(c.types.size() > 1), reductions(c.reductions.size() > 1) {}
  void addColumns(TextTable& table, bool full) const {
    table.addColumn("", "size");
    if (full) table.addColumn("", "count");
    if (full || types) table.addColumn("", "type");
    if (full || reductions) table.addColumn("", "redop");
  }
  std::vector<std::string> cells(const Row& row, bool full) const {
    std::vector<std::string> cells{formatBytes(static_cast<double>(row.bytes))};
    if (full) cells.push_back(fmt::to_string(row.count));
    if (full || types) cells.emplace_back(name(row.type));
    if (full || reductions) cells.emplace_back(name(row.reduction));
    return cells;
  }
  bool types, reductions;
};

void appendTiming(std::vector<std::string>& cells, const Row& row, const Series& series, int ranks,
                  bool checked) {
  if (!measured(series)) {
    cells.insert(cells.end(), 5, "-");
    return;
  }
  const Timing timing = timingOf(row, series, ranks);
  for (const double value : {timing.p50, timing.p99, timing.algbw, timing.busbw})
    cells.push_back(number(value));
  cells.push_back(checked ? fmt::to_string(series.wrong) : "N/A");
}

std::string timesOf(const Report& report, const RunResult& result, std::size_t first,
                    std::size_t last) {
  const RowHead head(report.config);
  TextTable table;
  head.addColumns(table, true);
  for (std::size_t c = first; c < last; ++c) {
    const std::string& group = result.contenders[c].name;
    table.addColumn(group, "time p50", "us");
    table.addColumn(group, "p99", "us");
    table.addColumn(group, "algbw", "GB/s");
    table.addColumn(group, "busbw", "GB/s");
    table.addColumn(group, "#wrong");
  }
  for (const Row& row : result.rows) {
    std::vector<std::string> cells = head.cells(row, true);
    for (std::size_t c = first; c < last; ++c)
      appendTiming(cells, row, row.series[c], report.config.ranks, report.config.check);
    table.addRow(std::move(cells));
  }
  return table.text();
}

/// One mode against p2p.
std::string regressionOf(const Report& report, const RunResult& result, std::size_t mode) {
  const RowHead head(report.config);
  const Contender& contender = result.contenders[mode];
  const std::string perCall = "bytes per rank and call";
  TextTable table;
  head.addColumns(table, false);
  table.addColumn("time", "p2p", "us");
  table.addColumn("time", contender.name, "us");
  table.addColumn("time", "change", "%");
  table.addColumn("time", "95 % interval", "%");
  table.addColumn(perCall, "moved p2p");
  table.addColumn(perCall, "moved");
  if (contender.sealed) {
    table.addColumn(perCall, "sealed");
    table.addColumn(perCall, "opened");
    table.addColumn("crypto alone", "us");
    table.addColumn("crypto alone", "time/it");
    table.addColumn("bound", "us");
    table.addColumn("bound", "% of bound");
  }
  for (const Row& row : result.rows) {
    const Series &series = row.series[mode], &base = row.series.front();
    const Ratio ratio = comparedWith(series, base);
    const double time = median(series.samples);
    std::vector<std::string> cells = head.cells(row, false);
    cells.insert(cells.end(), {number(median(base.samples)), number(time), percent(ratio.value),
                               fmt::format("{} .. {}", percent(ratio.interval.low),
                                           percent(ratio.interval.high)),
                               bytesCell(base.bytes.moved), bytesCell(series.bytes.moved)});
    if (contender.sealed) {
      const Bound bound =
          boundOf(row, series, result.rates, report.config.ranks, report.config.cores);
      cells.insert(cells.end(),
                   {bytesCell(series.bytes.sealed), bytesCell(series.bytes.opened),
                    number(bound.crypto), bound.crypto > 0 ? number(time / bound.crypto) : "-",
                    number(bound.total()), fmt::format("{:.0f}", 100 * bound.total() / time)});
    }
    table.addRow(std::move(cells));
  }
  return table.text();
}

/// Index of the run whose rival was faster at a row; the ratio is taken there, where both were
/// measured in turn.
std::size_t betterRun(const Report& report, std::size_t row) {
  const auto time = [&](const NamedRun& run) {
    const Series& rival = run.result.rows[row].series.back();
    return measured(rival) ? median(rival.samples) : HUGE_VAL;
  };
  const auto best =
      std::min_element(report.runs.begin(), report.runs.end(),
                       [&](const NamedRun& a, const NamedRun& b) { return time(a) < time(b); });
  return static_cast<std::size_t>(best - report.runs.begin());
}

}  // namespace

std::string timesText(const Report& report) {
  std::string text;
  for (const NamedRun& run : report.runs) {
    if (!run.name.empty()) text += fmt::format("\nRun beside {}:\n", run.name);
    const std::size_t total = run.result.contenders.size();
    for (std::size_t first = 0; first < total; first += kSideBySide)
      text += '\n' + timesOf(report, run.result, first, std::min(total, first + kSideBySide));
  }
  return text;
}

std::string regressionText(const Report& report) {
  const RunResult& result = report.runs.front().result;
  std::string text;
  for (std::size_t c = 1; c < result.contenders.size(); ++c)
    if (!result.contenders[c].rival)
      text += fmt::format("\n{} against p2p ({}):\n\n{}", result.contenders[c].name,
                          result.contenders[c].provenance, regressionOf(report, result, c));
  return text;
}

std::string rivalText(const Report& report) {
  if (report.config.rival.empty()) return {};
  const RunResult& first = report.runs.front().result;
  const std::size_t modes = report.config.modes.size();
  const RowHead head(report.config);
  TextTable table;
  head.addColumns(table, false);
  for (std::size_t m = 0; m < modes; ++m) table.addColumn("time", first.contenders[m].name, "us");
  for (const NamedRun& run : report.runs) table.addColumn("time", run.name, "us");
  for (std::size_t m = 0; m < modes; ++m) {
    table.addColumn("better rival over Lockstep", first.contenders[m].name, "x");
    table.addColumn("better rival over Lockstep", "95 %");
  }
  for (std::size_t r = 0; r < first.rows.size(); ++r) {
    std::vector<std::string> cells = head.cells(first.rows[r], false);
    const auto& series = report.runs[betterRun(report, r)].result.rows[r].series;
    for (std::size_t m = 0; m < modes; ++m) cells.push_back(number(median(series[m].samples)));
    for (const NamedRun& run : report.runs) {
      const Series& rival = run.result.rows[r].series.back();
      cells.push_back(measured(rival) ? number(median(rival.samples)) : "-");
    }
    for (std::size_t m = 0; m < modes; ++m) {
      if (!measured(series.back())) {
        cells.insert(cells.end(), 2, "-");
        continue;
      }
      const Ratio ratio = comparedWith(series.back(), series[m]);
      cells.push_back(number(ratio.value));
      cells.push_back(
          fmt::format("{} .. {}", number(ratio.interval.low), number(ratio.interval.high)));
    }
    table.addRow(std::move(cells));
  }
  return fmt::format(
      "\nLockstep beside {} (times of Lockstep are of the run with the better rival; above 1 it is "
      "faster):\n\n{}",
      first.contenders.back().describe, table.text());
}

}  // namespace lockstep::bench
