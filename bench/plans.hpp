// Which plans a run's calls went by, in words.
#pragma once

#include <string>

#include "bench/report.hpp"

namespace lockstep::bench {

/// Whether two contenders of a row went by the same plan and moved the same bytes: what then
/// differs between their times is noise. (Multicast writes once what several ranks read; with one
/// reader, or where peers read a rank's buffer in place, that is what p2p does.)
bool ranAlike(const Row& row, std::size_t a, std::size_t b);

/// "128 KiB to 64 MiB", the sizes at which they ran alike; empty: none.
std::string sizesAlike(const RunResult& result, std::size_t a, std::size_t b);

/// The algorithm and protocol of each range of sizes of one operation, one line per mode.
std::string planText(const Report& report);

/// For every operation, what would run and why, with what the cost model predicts, and the meaning
/// of the names: for a run that measures nothing.
std::string explainText(const Report& report);

}  // namespace lockstep::bench
