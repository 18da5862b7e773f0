// A finished run, and how it is shown: text for people, JSON for programs.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "bench/bound.hpp"
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
  RunConfig config;
  std::vector<NamedRun> runs;
  std::vector<std::string> faults;  ///< wrong results, as the ranks described them
};

/// What a series' samples say.
struct Timing {
  double p50 = 0, p99 = 0;      ///< microseconds per call
  double algbw = 0, busbw = 0;  ///< GB/s, of the median
};
Timing timingOf(const Row& row, const Series& series, int ranks);

/// Time of the series over time of `base`, both of one row.
Ratio comparedWith(const Series& series, const Series& base);

/// What ran and where, above the tables.
std::string headerText(const Report& report);
/// The algorithm and protocol of each range of sizes, one line per contender.
std::string planText(const RunResult& result);
/// Times and bandwidths of every contender.
std::string timesText(const Report& report);
/// Every mode against p2p: percent, bytes, bound.
std::string regressionText(const Report& report);
/// Lockstep against the rival; empty without one.
std::string rivalText(const Report& report);
/// One paragraph: what the mode costs here, and why.
std::string storyText(const Report& report);

/// Everything, samples included. `runs[i]` reads back as a RunResult.
nlohmann::json reportJson(const Report& report);

}  // namespace lockstep::bench
