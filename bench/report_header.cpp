// What ran, and where: the lines above the tables.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/plans.hpp"
#include "bench/report.hpp"
#include "bench/stopping.hpp"
#include "bench/tasks.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

std::string namesOf(const std::vector<Operation>& ops) {
  std::vector<std::string_view> names;
  for (const Operation op : ops) names.push_back(name(op));
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Of ranks on GPUs.
std::string gpuWhereText(const RunConfig& config) {
  const std::string what = ranksShareGpus(config) ? "threads of one process" : "processes";
  return fmt::format("{} {} on {} GPU{}{}", config.ranks, what, config.gpus,
                     config.gpus == 1 ? "" : "s",
                     ranksShareGpus(config) ? ", which they share: nothing crosses a link" : "");
}

std::string describe(const DeviceInfo& device) {
  return fmt::format("{} {}: sm_{}{}, {} multiprocessors, {}", device.ordinal, device.name,
                     device.computeMajor, device.computeMinor, device.multiprocessors,
                     formatBytes(static_cast<double>(device.memoryBytes)));
}

std::string gpuText(const GpuFacts& facts) {
  std::string text;
  for (const DeviceInfo& device : facts.devices) text += labelled("GPU", describe(device));
  return text + labelled("driver", facts.driver + "; " + facts.compiler);
}

/// How kernels and multicast came about, mode by mode.
std::string kernelText(const RunResult& result) {
  std::string text;
  for (const Contender& c : result.contenders) {
    if (c.kernels.empty()) continue;
    text +=
        labelled("kernels", fmt::format("{}: {}; multicast: {}", c.name, c.kernels, c.multicast));
  }
  return text;
}

std::string whereText(const RunConfig& config) {
  if (config.gpu) return gpuWhereText(config);
  std::string text =
      config.ranks == 1 ? "one process" : fmt::format("{} processes on this host", config.ranks);
  if (std::find(config.rivals.begin(), config.rivals.end(), "mpi") != config.rivals.end())
    text += config.rivals.size() == 1 ? ", started by mpirun" : ", beside mpi started by mpirun";
  if (config.ranks > config.cores)
    return text + fmt::format(", sharing {} core{}: not pinned", config.cores,
                              config.cores == 1 ? "" : "s");
  return text + (config.ranks == 1 ? ", pinned to a core" : ", each pinned to a core of its own");
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
  if (config.registered)
    return config.gpu ? "registered (DeviceCommunicator::alloc)"
                      : "registered (Communicator::alloc)";
  if (config.gpu) return "ordinary device memory";
  std::vector<std::string> paths;
  for (const Contender& c : result.contenders)
    if (!c.rival) paths.push_back(fmt::format("{} by {}", c.name, c.ordinaryPath));
  return fmt::format("ordinary memory; {}", fmt::join(paths, ", "));
}

/// How a batch on GPUs is timed.
std::string batchText(const RunConfig& config) {
  return fmt::format(", {}{}, between two events in the stream",
                     config.graph ? "one CUDA graph" : "one launch after the other",
                     config.together ? ", each of all ranks" : "");
}

std::string measuredText(const RunConfig& config) {
  const bool hasData = largestMessage(config) > 0;
  if (config.checkOnly)
    return hasData ? "nothing; every element verified, out of place and in place"
                   : "nothing; called once, with no elements to verify";
  return fmt::format(
      "time: median of samples, each the slowest rank's mean of a batch of calls{}{}; modes in "
      "turn, in changing order{}",
      hasData ? " out of place" : "", !config.gpu ? "" : batchText(config),
      !hasData       ? ""
      : config.check ? "; every element verified before, out of place and in place"
                     : "; NOT verified");
}

std::string contenderLine(const Contender& c) {
  return fmt::format("{} ({}): {}", c.name, c.provenance,
                     c.rival    ? c.describe
                     : c.sealed ? fmt::format("{}, keys: {}", c.cipher, c.keySource)
                                : "in the clear");
}

/// Each rival once, however many settings of it were run.
std::string rivalLines(const Report& report) {
  std::vector<std::string> lines;
  for (const NamedRun& run : report.runs)
    for (const Contender& c : run.result.contenders)
      if (c.rival) lines.push_back(labelled("rival", contenderLine(c)));
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  return fmt::format("{}", fmt::join(lines, ""));
}

/// Of the first row that has them; empty without.
std::string ratesText(const RunResult& result) {
  const auto row = std::find_if(result.rows.begin(), result.rows.end(),
                                [](const Row& r) { return r.streaming.seal > 0; });
  if (row == result.rows.end()) return {};
  const Rates& r = row->streaming;
  std::string text =
      fmt::format("one rank, all cores busy, streaming: seal {:.1f}, open {:.1f}, copy {:.1f}",
                  r.seal / 1e9, r.open / 1e9, r.copy / 1e9);
  if (r.reduce > 0) text += fmt::format(", reduce {:.1f}", r.reduce / 1e9);
  return labelled("rates", text + " GB/s");
}

/// What the budget does not bound, where that took much longer; else empty.
std::string overrunText(const Report& report) {
  constexpr double kMuch = 1.2;
  const RunConfig& config = report.config;
  double seconds = 0;
  for (const NamedRun& run : report.runs) seconds += run.result.seconds;
  if (config.checkOnly || config.iterations > 0 || seconds < kMuch * config.budgetSeconds)
    return {};
  return labelled(
      "time", fmt::format("{:.3g} s, {:.3g} more than --time-budget {:g}: each size is {}measured "
                          "{} times at least",
                          seconds, seconds - config.budgetSeconds, config.budgetSeconds,
                          config.check ? "verified, and " : "", kLeastRounds));
}

bool anyEmulated(const RunResult& result) {
  return std::any_of(result.contenders.begin(), result.contenders.end(), [](const Contender& c) {
    return c.provenance.find("emulated") != std::string::npos;
  });
}

}  // namespace

std::string warningText(const Report& report) {
  std::string text;
  for (const std::string& warning : warnings(report)) text += labelled("WARNING", warning);
  return text;
}

std::string headerText(const Report& report) {
  const RunConfig& config = report.config;
  const RunResult& first = report.runs.front().result;
  std::string text = wrap("", fmt::format("ccbench {}: {}, {}", version(), namesOf(config.ops),
                                          ranksText(config.ranks)));
  text += labelled("machine", describe(report.machine));
  if (report.gpus) text += gpuText(*report.gpus);
  text += labelled("ranks", whereText(config));
  for (const Contender& c : first.contenders)
    if (!c.rival) text += labelled("mode", contenderLine(c));
  text += kernelText(first) + rivalLines(report);
  if (config.ranks > 1) text += labelled("transport", transportText(first));
  if (largestMessage(config) > 0) text += labelled("buffers", bufferText(config, first));
  text += ratesText(first);
  text += labelled("measured", measuredText(config)) + overrunText(report);
  if (!config.gpu && anyEmulated(first))
    text += labelled(
        "emulated",
        "a software mode on a machine without TEE: shared memory plays the untrusted host");
  return text;
}

}  // namespace lockstep::bench
