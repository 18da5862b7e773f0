// What ran, and where: the lines above the tables.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/report.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

constexpr std::size_t kLabelWidth = 11;

std::string line(const char* label, const std::string& text) {
  return wrap(fmt::format("  {:<{}}", label, kLabelWidth), text, 2 + kLabelWidth);
}

std::string sizeText(const Row& row) {
  return formatBytes(static_cast<double>(row.bytes));
}

std::string ranksText(const RunConfig& config, bool underMpi) {
  std::string text = fmt::format("{} processes on this host", config.ranks);
  if (underMpi) text += ", started by mpirun";
  if (config.ranks <= config.cores) return text + ", each pinned to a core of its own";
  return text +
         fmt::format(", sharing {} core{}: not pinned", config.cores, config.cores == 1 ? "" : "s");
}

/// The distinct transports of a run's plans.
std::string transportText(const RunResult& result) {
  std::set<std::string> transports;
  for (const Row& row : result.rows)
    for (const Series& series : row.series)
      if (!series.plan.transport.empty()) transports.insert(series.plan.transport);
  return fmt::format("{}", fmt::join(transports, "; "));
}

std::string bufferText(const RunConfig& config, const RunResult& result) {
  if (config.registered) return "registered (Communicator::alloc)";
  std::vector<std::string> paths;
  for (const Contender& c : result.contenders)
    if (!c.rival) paths.push_back(fmt::format("{} by {}", c.name, c.ordinaryPath));
  return fmt::format("ordinary memory; {}", fmt::join(paths, ", "));
}

std::string measuredText(const RunConfig& config) {
  return fmt::format(
      "time: median of samples, each the slowest rank's mean of a batch of calls out of place; "
      "modes "
      "in turn{}",
      config.check ? "; every element verified before, out of place and in place"
                   : "; NOT verified");
}

std::string contenderLine(const Contender& c) {
  std::string text = fmt::format("{} ({}): {}", c.name, c.provenance, c.describe);
  if (c.sealed) text += fmt::format(", {}, keys: {}", c.cipher, c.keySource);
  return text;
}

bool samePlan(const PlanText& a, const PlanText& b) {
  return a.algorithm == b.algorithm && a.protocol == b.protocol;
}

/// `bytes`: of the largest message that runs so.
std::string describePlan(const PlanText& plan, std::size_t bytes) {
  std::string text = plan.algorithm + ' ' + plan.protocol;
  if (plan.tileBytes > 0 && bytes > plan.tileBytes)
    text += fmt::format(" (tiles of {}, {} in flight)",
                        formatBytes(static_cast<double>(plan.tileBytes)), plan.depth);
  return text;
}

/// Runs of rows with the same plan, as one phrase each.
std::string plansOf(const RunResult& result, std::size_t contender) {
  std::vector<std::string> phrases;
  const auto& rows = result.rows;
  for (std::size_t first = 0; first < rows.size();) {
    const auto plan = [&](std::size_t r) -> const PlanText& {
      return rows[r].series[contender].plan;
    };
    const auto sameTable = [&](std::size_t r) {
      return rows[r].type == rows[first].type && rows[r].reduction == rows[first].reduction;
    };
    std::size_t last = first;
    while (last + 1 < rows.size() && sameTable(last + 1) && samePlan(plan(first), plan(last + 1)))
      ++last;
    const std::string range = first == last ? sizeText(rows[first])
                                            : sizeText(rows[first]) + " to " + sizeText(rows[last]);
    const std::string phrase =
        fmt::format("{} {}", range, describePlan(plan(last), rows[last].bytes));
    if (std::find(phrases.begin(), phrases.end(), phrase) == phrases.end())
      phrases.push_back(phrase);
    first = last + 1;
  }
  return fmt::format("{}", fmt::join(phrases, "; "));
}

std::string ratesText(const RunResult& result) {
  const Rates& r = result.rates;
  return fmt::format(
      "one rank, all cores busy, streaming: seal {:.1f}, open {:.1f}, copy {:.1f}, reduce {:.1f} "
      "GB/s",
      r.seal / 1e9, r.open / 1e9, r.copy / 1e9, result.rows.front().reduceRate / 1e9);
}

}  // namespace

std::string planText(const RunResult& result) {
  std::string text;
  for (std::size_t c = 0; c < result.contenders.size(); ++c)
    if (!result.contenders[c].rival)
      text += line("plan", fmt::format("{}: {}", result.contenders[c].name, plansOf(result, c)));
  return text;
}

std::string headerText(const Report& report) {
  const RunConfig& config = report.config;
  const RunResult& first = report.runs.front().result;
  std::string text = fmt::format("ccbench {}: allreduce, {} ranks\n", version(), config.ranks);
  text += line("machine", describe(report.machine));
  text += line("ranks", ranksText(config, !config.rival.empty()));
  for (const Contender& c : first.contenders)
    text += line(c.rival ? "rival" : "mode", contenderLine(c));
  text += line("transport", transportText(first));
  text += line("buffers", bufferText(config, first));
  text += planText(first);
  if (first.rates.seal > 0) text += line("rates", ratesText(first));
  text += line("measured", measuredText(config));
  if (std::any_of(first.contenders.begin(), first.contenders.end(), [](const Contender& c) {
        return c.provenance.find("emulated") != std::string::npos;
      }))
    text +=
        line("emulated",
             "a software mode on a machine without TEE: shared memory plays the untrusted host");
  if (config.insecureKeys)
    text += line(
        "WARNING",
        "keys are not authenticated (--insecure-keys): an active attacker can read everything");
  return text;
}

}  // namespace lockstep::bench
