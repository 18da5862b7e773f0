// A finished run, and how it is shown: text for people, JSON for programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/bound.hpp"
#include "bench/gpu.hpp"
#include "bench/machine.hpp"
#include "bench/result.hpp"
#include "bench/statistics.hpp"

namespace lockstep::bench {

/// One launch of the ranks. Only with a baseline is there more than one.
struct NamedRun {
  std::string name;  ///< "" or how the rival was set ("mpi default")
  RunResult result;
};

struct Report {
  Machine machine;
  std::optional<GpuFacts> gpus;  ///< of a run on GPUs
  RunConfig config;
  std::vector<std::string> notes;  ///< what was asked for and is left out
  std::vector<NamedRun> runs;
  std::vector<std::string> faults;  ///< wrong results, as the ranks described them
  bool complete = true;             ///< else it ended early, and has the rows that were done
};

/// What a series' samples say.
struct Timing {
  double p50 = 0, p99 = 0;      ///< microseconds per call
  double algbw = 0, busbw = 0;  ///< GB/s, of the median
};
Timing timingOf(const Row& row, const Series& series, int ranks);

/// Whether all ranks are on one GPU, so that its memory bounds them.
bool sharesOneGpu(const RunConfig& config);

/// How much of the time ranks had a core, if other work took so much that times are not of this
/// alone; else nothing.
std::optional<double> busyShare(const Report& report);

/// "62.3 us", "77.5 ms", "1.2 s"
std::string timeText(double microseconds);

/// Time of the series over time of `base`, both of one row.
Ratio comparedWith(const Series& series, const Series& base);

/// "1 rank", "4 ranks"
std::string ranksText(int ranks);

/// What whoever uses the numbers has to know, whatever else they read.
std::vector<std::string> warnings(const Report& report);

/// The report of each operation by itself, in the order they were asked for: its rows, and in the
/// configuration the types and reductions that it has. The texts below are of one operation, but
/// those of the warnings, the header and the verdict.
std::vector<Report> byOperation(const Report& report);

/// What can be shown of a report that may not be complete: the rows that all runs have, and the
/// operations of those.
Report comparablePart(Report report);

/// The contract of a report's one operation.
const Contract& contractOf(const Report& report);

/// The warnings as lines; empty without.
std::string warningText(const Report& report);
/// What ran and where, above the tables.
std::string headerText(const Report& report);
/// Which operation the tables below it are of.
std::string titleText(const Report& report);
/// What was verified and found wrong, of every operation and contender.
std::string verdictText(const Report& report);
/// Times and bandwidths of every contender.
std::string timesText(const Report& report);
/// Bytes of a call of every mode; empty when none cross.
std::string bytesText(const Report& report);
/// Of data on one GPU that all ranks share: what memory must read and write, and how long it needs
/// for that; else empty.
std::string memoryText(const Report& report);
/// Every mode against p2p: percent, crypto, bound (of data); empty when nothing crosses.
std::string regressionText(const Report& report);
/// Every mode's reproducible self against it: percent; empty unless both were measured.
std::string reproducibleText(const Report& report);
/// Lockstep against each rival; empty without.
std::string rivalText(const Report& report);
/// One paragraph per mode: what it costs here, and why.
std::string storyText(const Report& report);
/// The same of the largest message only, for an operation among others; empty with one rank.
std::string shortStoryText(const Report& report);

/// Everything, samples included. `runs[i]` reads back as a RunResult.
nlohmann::json reportJson(const Report& report);

}  // namespace lockstep::bench
