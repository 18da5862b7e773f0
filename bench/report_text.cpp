// The tables.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "bench/gpu_traffic.hpp"
#include "bench/plans.hpp"
#include "bench/report.hpp"
#include "bench/text_table.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

std::string number(double value) {
  const double size = std::fabs(value);
  return fmt::format("{:.{}f}", value, size < 0.1 ? 3 : size < 10 ? 2 : size < 1000 ? 1 : 0);
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

/// As many of `total` contenders side by side as lines have room for, then the next ones below.
/// `table(first, last)`: of those from first to before last.
template <class Table>
std::string sideBySide(std::size_t total, Table table) {
  std::string text;
  for (std::size_t first = 0, last = 0; first < total; first = last) {
    TextTable widest = table(first, first + 1);
    for (last = first + 1; last < total; ++last) {
      TextTable wider = table(first, last + 1);
      if (wider.width() > kTextWidth) break;
      widest = std::move(wider);
    }
    text += '\n' + widest.text();
  }
  return text;
}

/// What begins every row: the size, if there is data. Types and reductions are columns only where
/// they differ.
struct RowHead {
  explicit RowHead(const RunConfig& c)
      : sizes(contractOf(c.ops.front()).hasData),
        types(c.types.size() > 1),
        reductions(c.reductions.size() > 1) {}
  void addColumns(TextTable& table) const {
    if (sizes) table.addColumn("", "size");
    if (types) table.addColumn("", "type");
    if (reductions) table.addColumn("", "redop");
  }
  std::vector<std::string> cells(const Row& row) const {
    std::vector<std::string> cells;
    if (sizes) cells.push_back(formatBytes(static_cast<double>(row.bytes)));
    if (types) cells.emplace_back(name(row.type));
    if (reductions) cells.emplace_back(name(row.reduction));
    return cells;
  }
  bool sizes, types, reductions;
};

/// "allreduce of f32, sum, 2 ranks"
std::string subject(const RunConfig& c) {
  std::string text(name(c.ops.front()));
  if (c.types.size() == 1) text += fmt::format(" of {}", name(c.types[0]));
  if (c.reductions.size() == 1) text += fmt::format(", {}", name(c.reductions[0]));
  if (contractOf(c.ops.front()).rooted) text += fmt::format(", root {}", c.root);
  return text + ", " + ranksText(c.ranks);
}

/// What tells the runs beside different settings of a rival apart.
std::string besideWhat(const NamedRun& run) {
  return run.name.empty() ? "" : ", run beside " + run.name;
}

void addTimingColumns(TextTable& table, const std::string& group, bool hasData) {
  table.addColumn(group, "p50", "us");
  table.addColumn(group, "p99", "us");
  if (!hasData) return;
  table.addColumn(group, "algbw", "GB/s");
  table.addColumn(group, "busbw", "GB/s");
  table.addColumn(group, "#wrong");
}

void appendTiming(std::vector<std::string>& cells, const Row& row, const Series& series,
                  const RunConfig& config) {
  const bool hasData = contractOf(row.op).hasData;
  if (!measured(series)) {
    cells.insert(cells.end(), hasData ? 5 : 2, "-");
    return;
  }
  const Timing timing = timingOf(row, series, config.ranks);
  cells.insert(cells.end(), {number(timing.p50), number(timing.p99)});
  if (!hasData) return;
  cells.push_back(number(timing.algbw));
  cells.push_back(config.ranks > 1 ? number(timing.busbw) : "-");
  cells.push_back(config.check ? fmt::to_string(series.wrong) : "N/A");
}

TextTable timesOf(const RunConfig& config, const RunResult& result, std::size_t first,
                  std::size_t last) {
  const RowHead head(config);
  const bool counts = head.sizes && !head.types;
  TextTable table;
  head.addColumns(table);
  if (counts) table.addColumn("", "count");
  for (std::size_t c = first; c < last; ++c)
    addTimingColumns(table, result.contenders[c].name, head.sizes);
  for (const Row& row : result.rows) {
    std::vector<std::string> cells = head.cells(row);
    if (counts) cells.push_back(fmt::to_string(row.count));
    for (std::size_t c = first; c < last; ++c) appendTiming(cells, row, row.series[c], config);
    table.addRow(std::move(cells));
  }
  return table;
}

/// A time beside a bound: the bound, and how much of the time it is. Faster than the bound:
/// starred.
void appendBound(std::vector<std::string>& cells, double bound, double time, bool starred) {
  const char* star = time >= bound ? "" : "*";
  cells.push_back(number(bound));
  cells.push_back(fmt::format("{:.0f}{}", 100 * bound / time, starred ? star : ""));
}

/// The contender's mode: contenders are the modes, twice if reproducible ones are beside them.
Mode modeOf(const RunConfig& config, std::size_t contender) {
  return config.modes[contender % config.modes.size()];
}

TextTable memoryOf(const RunConfig& config, const RunResult& result, std::size_t first,
                   std::size_t last) {
  const RowHead head(config);
  TextTable table;
  head.addColumns(table);
  for (std::size_t c = first; c < last; ++c) {
    const std::string& name = result.contenders[c].name;
    table.addColumn(name, "read");
    table.addColumn(name, "written");
    table.addColumn(name, "bound", "us");
    table.addColumn(name, "share", "%");
  }
  for (const Row& row : result.rows) {
    std::vector<std::string> cells = head.cells(row);
    for (std::size_t c = first; c < last; ++c) {
      const Series& series = row.series[c];
      const Traffic traffic = trafficOf(row, series, modeOf(config, c), config.ranks, config.root);
      cells.insert(cells.end(), {bytesCell(traffic.read), bytesCell(traffic.written)});
      const double bound = memoryBound(traffic, row.streaming.copy);
      appendBound(cells, bound, median(series.samples), false);
    }
    table.addRow(std::move(cells));
  }
  return table;
}

TextTable bytesOf(const RunConfig& config, const RunResult& result, std::size_t first,
                  std::size_t last) {
  const RowHead head(config);
  TextTable table;
  head.addColumns(table);
  for (std::size_t c = first; c < last; ++c) {
    const Contender& contender = result.contenders[c];
    table.addColumn(contender.name, "moved");
    if (!contender.sealed) continue;
    table.addColumn(contender.name, "sealed");
    table.addColumn(contender.name, "opened");
  }
  for (const Row& row : result.rows) {
    std::vector<std::string> cells = head.cells(row);
    for (std::size_t c = first; c < last; ++c) {
      const CallBytes& bytes = row.series[c].bytes;
      cells.push_back(bytesCell(bytes.moved));
      if (!result.contenders[c].sealed) continue;
      cells.push_back(bytesCell(bytes.sealed));
      cells.push_back(bytesCell(bytes.opened));
    }
    table.addRow(std::move(cells));
  }
  return table;
}

/// `bounded`: against what the parts of a sealed call take by themselves.
void addRegressionColumns(TextTable& table, const Contender& contender, bool hasData,
                          bool bounded) {
  table.addColumn("time", "p2p", "us");
  table.addColumn("time", contender.name, "us");
  table.addColumn("time", "change", "%");
  table.addColumn("time", "95 %", "%");
  if (!hasData) return;
  if (!bounded) return table.addColumn("", "plan");
  const std::string streaming = "at streaming rates", cached = "in caches";
  table.addColumn(streaming, "AES-GCM", "us");
  table.addColumn(streaming, "time/it");
  table.addColumn(streaming, "bound", "us");
  table.addColumn(streaming, "share", "%");
  table.addColumn(cached, "bound", "us");
  table.addColumn(cached, "share", "%");
}

std::string percentRange(const Interval& interval) {
  if (std::isinf(interval.high)) return "-";
  return percent(interval.low) + ".." + percent(interval.high);
}

constexpr const char* kAlike =
    "as p2p: the same plan, byte for byte, in both modes; what differs there is noise";

/// `busy`: nobody knows why a share is starred.
std::string boundLegend(bool starred, bool busy) {
  std::string text = "share: how much of the time the bound explains.";
  if (starred) text += " *: faster than data can stream";
  if (starred && !busy) text += "; the message stayed in the caches, whose bound holds";
  return text + (starred ? "." : "");
}

/// The bounds of a sealed call beside its time. Whether it was faster than the streaming one.
bool appendBounds(std::vector<std::string>& cells, const RunConfig& config, const Row& row,
                  const Series& series) {
  const double time = median(series.samples);
  const Bound streaming = boundOf(row, series, row.streaming, config.ranks, config.cores);
  const Bound cached = boundOf(row, series, row.cached, config.ranks, config.cores);
  cells.insert(cells.end(), {number(streaming.crypto), number(time / streaming.crypto)});
  appendBound(cells, streaming.total(), time, true);
  appendBound(cells, cached.total(), time, false);
  return time < streaming.total();
}

/// One mode against p2p.
std::string regressionOf(const Report& report, const RunResult& result, std::size_t mode) {
  const RowHead head(report.config);
  // Nobody measures the ciphers of GPUs by themselves.
  const bool bounded = result.contenders[mode].sealed && !report.config.gpu;
  bool marked = false;
  TextTable table;
  head.addColumns(table);
  addRegressionColumns(table, result.contenders[mode], head.sizes, bounded);
  for (const Row& row : result.rows) {
    const Series &series = row.series[mode], &base = row.series.front();
    const Ratio ratio = comparedWith(series, base);
    std::vector<std::string> cells = head.cells(row);
    cells.insert(cells.end(), {number(median(base.samples)), number(median(series.samples)),
                               percent(ratio.value), percentRange(ratio.interval)});
    if (head.sizes && bounded) {
      marked |= appendBounds(cells, report.config, row, series);
    } else if (head.sizes) {
      const bool alike = ranAlike(row, mode, 0);
      cells.emplace_back(alike ? "as p2p" : "its own");
      marked |= alike;
    }
    table.addRow(std::move(cells));
  }
  if (bounded && head.sizes)
    return table.text() + wrap("", boundLegend(marked, busyShare(report).has_value()));
  return table.text() + (marked ? wrap("", kAlike) : "");
}

/// Reproducible modes against the same without.
TextTable priceOf(const Report& report, const RunResult& result, std::size_t mode) {
  const RowHead head(report.config);
  TextTable table;
  head.addColumns(table);
  table.addColumn("time", "ordinary", "us");
  table.addColumn("time", "reproducible", "us");
  table.addColumn("time", "change", "%");
  table.addColumn("time", "95 %", "%");
  table.addColumn("", "plan");
  const std::size_t twin = report.config.modes.size() + mode;
  for (const Row& row : result.rows) {
    const Series &series = row.series[twin], &base = row.series[mode];
    const Ratio ratio = comparedWith(series, base);
    std::vector<std::string> cells = head.cells(row);
    cells.insert(cells.end(), {number(median(base.samples)), number(median(series.samples)),
                               percent(ratio.value), percentRange(ratio.interval),
                               ranAlike(row, twin, mode) ? "the same" : "its own"});
    table.addRow(std::move(cells));
  }
  return table;
}

/// The runs beside one rival, of which each is one setting.
using RivalRuns = std::vector<const NamedRun*>;

const Contender& rivalOf(const NamedRun& run) {
  return run.result.contenders.back();
}

/// Rival by rival, in the order of the runs.
std::vector<RivalRuns> byRival(const Report& report) {
  std::vector<RivalRuns> rivals;
  for (const NamedRun& run : report.runs) {
    const bool another =
        rivals.empty() || rivalOf(*rivals.back().front()).name != rivalOf(run).name;
    if (another) rivals.emplace_back();
    rivals.back().push_back(&run);
  }
  return rivals;
}

/// The run in which the rival was fastest at a row; the ratio is taken there, where both were
/// measured in turn.
const NamedRun& bestRun(const RivalRuns& runs, std::size_t row) {
  const auto time = [&](const NamedRun* run) {
    const Series& rival = run->result.rows[row].series.back();
    return measured(rival) ? median(rival.samples) : HUGE_VAL;
  };
  return **std::min_element(runs.begin(), runs.end(), [&](const NamedRun* a, const NamedRun* b) {
    return time(a) < time(b);
  });
}

/// How many times longer the rival takes.
void appendAdvantage(std::vector<std::string>& cells, const Series& rival, const Series& ours) {
  if (!measured(rival)) {
    cells.insert(cells.end(), 2, "-");
    return;
  }
  const Ratio ratio = comparedWith(rival, ours);
  cells.push_back(number(ratio.value));
  const auto& [low, high] = ratio.interval;
  cells.push_back(std::isinf(high) ? "-" : number(low) + ".." + number(high));
}

/// The modes from first to before last beside a rival in all its settings.
TextTable rivalTable(const RunConfig& config, const RivalRuns& runs, std::size_t first,
                     std::size_t last) {
  const RunResult& result = runs.front()->result;
  const RowHead head(config);
  TextTable table;
  head.addColumns(table);
  for (std::size_t m = first; m < last; ++m)
    table.addColumn("time", result.contenders[m].name, "us");
  for (const NamedRun* run : runs) table.addColumn("time", run->name, "us");
  for (std::size_t m = first; m < last; ++m) {
    table.addColumn("over " + result.contenders[m].name, "x");
    table.addColumn("over " + result.contenders[m].name, "95 %");
  }
  for (std::size_t r = 0; r < result.rows.size(); ++r) {
    std::vector<std::string> cells = head.cells(result.rows[r]);
    const auto& series = bestRun(runs, r).result.rows[r].series;
    for (std::size_t m = first; m < last; ++m) cells.push_back(number(median(series[m].samples)));
    for (const NamedRun* run : runs) {
      const Series& rival = run->result.rows[r].series.back();
      cells.push_back(measured(rival) ? number(median(rival.samples)) : "-");
    }
    for (std::size_t m = first; m < last; ++m) appendAdvantage(cells, series.back(), series[m]);
    table.addRow(std::move(cells));
  }
  return table;
}

/// Why rows of the rival are empty, if any are.
std::string whatRivalLacks(const RunResult& result) {
  const bool lacks = std::any_of(result.rows.begin(), result.rows.end(),
                                 [](const Row& row) { return !row.series.back().supported; });
  return lacks ? wrap("", fmt::format("-: {} has no such collective, type to reduce or reduction",
                                      result.contenders.back().name))
               : "";
}

}  // namespace

std::string titleText(const Report& report) {
  return fmt::format("\n---- {} ----\n", name(report.config.ops.front()));
}

std::string timesText(const Report& report) {
  std::string text;
  for (const NamedRun& run : report.runs)
    text += fmt::format("\nTime per call ({}{}):\n", subject(report.config), besideWhat(run)) +
            sideBySide(run.result.contenders.size(), [&](std::size_t first, std::size_t last) {
              return timesOf(report.config, run.result, first, last);
            });
  return text;
}

std::string bytesText(const Report& report) {
  if (report.config.ranks == 1 || !contractOf(report).hasData || report.config.gpu) return {};
  const RunResult& result = report.runs.front().result;
  return "\nBytes of one call, each of the rank with most (moved: between ranks; sealed, opened: "
         "payload):\n" +
         sideBySide(report.config.modes.size(), [&](std::size_t first, std::size_t last) {
           return bytesOf(report.config, result, first, last);
         });
}

std::string memoryText(const Report& report) {
  const RunResult& result = report.runs.front().result;
  if (!sharesOneGpu(report.config) || !contractOf(report).hasData) return {};
  return fmt::format(
             "\nMemory of the GPU that all ranks share, which copies {:.1f} GB/s here (each byte "
             "read "
             "and written):\n",
             result.rows.front().streaming.copy / 1e9) +
         sideBySide(report.config.modes.size(),
                    [&](std::size_t first, std::size_t last) {
                      return memoryOf(report.config, result, first, last);
                    }) +
         wrap("",
              "read, written: by all ranks' operations of the schedule; bound: both / (2 x bytes "
              "copied per second); share: how much of the time the bound explains, more than 100 "
              "where slots or buffers stay in the GPU's cache");
}

std::string regressionText(const Report& report) {
  if (report.config.ranks == 1) return {};
  const NamedRun& run = report.runs.front();
  std::string text;
  for (std::size_t c = 1; c < report.config.modes.size(); ++c)
    text += fmt::format("\n{} against p2p ({}{}):\n\n{}", run.result.contenders[c].name,
                        run.result.contenders[c].provenance, besideWhat(run),
                        regressionOf(report, run.result, c));
  return text;
}

std::string reproducibleText(const Report& report) {
  if (report.config.reproducible.size() < 2 || report.config.ranks == 1) return {};
  const NamedRun& run = report.runs.front();
  std::string text;
  for (std::size_t c = 0; c < report.config.modes.size(); ++c)
    text += fmt::format("\n{} against {} ({}{}):\n\n{}",
                        run.result.contenders[report.config.modes.size() + c].name,
                        run.result.contenders[c].name, run.result.contenders[c].provenance,
                        besideWhat(run), priceOf(report, run.result, c).text());
  return text;
}

std::string rivalText(const Report& report) {
  if (report.config.rivals.empty()) return {};
  std::string text;
  for (const RivalRuns& runs : byRival(report))
    text += fmt::format("\nLockstep beside {}:\n", rivalOf(*runs.front()).describe) +
            sideBySide(report.config.modes.size(),
                       [&](std::size_t first, std::size_t last) {
                         return rivalTable(report.config, runs, first, last);
                       }) +
            whatRivalLacks(runs.front()->result);
  return text + wrap("",
                     "x: time of the rival, in its fastest setting, over Lockstep's of the same "
                     "run; above 1 Lockstep is faster");
}

}  // namespace lockstep::bench
