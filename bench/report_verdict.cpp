// What was verified, and what of it is wrong: the table of a run that times nothing.
#include <algorithm>

#include <fmt/format.h>

#include "bench/report.hpp"
#include "bench/tasks.hpp"
#include "bench/text_table.hpp"

namespace lockstep::bench {
namespace {

/// Elements over all rows, or why there are none.
std::string wrongOf(const std::vector<Row>& rows, std::size_t contender) {
  std::uint64_t wrong = 0;
  bool verified = false;
  for (const Row& row : rows) {
    verified |= row.series[contender].supported && contractOf(row.op).hasData;
    wrong += row.series[contender].wrong;
  }
  return verified ? fmt::to_string(wrong) : "-";
}

std::string sizesOf(const std::vector<Row>& rows) {
  if (rows.back().bytes == 0) return "-";
  return formatBytes(static_cast<double>(rows.front().bytes)) + " to " +
         formatBytes(static_cast<double>(rows.back().bytes));
}

TextTable verdictOf(const Report& report, std::size_t run) {
  const RunResult& whole = report.runs[run].result;
  TextTable table;
  table.addColumn("", "operation");
  table.addColumn("", "sizes");
  table.addColumn("", "messages");
  for (const Contender& contender : whole.contenders)
    table.addColumn("wrong elements", contender.name);
  for (const Report& op : byOperation(report)) {
    const std::vector<Row>& rows = op.runs[run].result.rows;
    std::vector<std::string> cells{std::string(name(op.config.ops.front())), sizesOf(rows),
                                   fmt::to_string(rows.size())};
    for (std::size_t c = 0; c < whole.contenders.size(); ++c) cells.push_back(wrongOf(rows, c));
    table.addRow(std::move(cells));
  }
  return table;
}

}  // namespace

std::string verdictText(const Report& report) {
  const bool hasData = largestMessage(report.config) > 0;
  std::string text;
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    const std::string& name = report.runs[run].name;
    text +=
        fmt::format("\n{}{}{}, on {}:\n\n", hasData ? "Verified" : "Called",
                    name.empty() ? "" : " beside " + name,
                    hasData ? ", out of place and in place" : "", ranksText(report.config.ranks)) +
        verdictOf(report, run).text();
  }
  return text;
}

}  // namespace lockstep::bench
