// `ccbench tune`: measures which plan is fastest where, shows it, and writes a tuning file.
#pragma once

#include <string>
#include <vector>

#include "bench/machine.hpp"
#include "bench/tune_result.hpp"

namespace lockstep::bench {

inline constexpr const char* kTuneCommand = "tune";

/// `arguments` after "tune". The exit status, as ccbench's. Throws UsageError.
int runTune(const std::vector<std::string>& arguments, const Machine& machine);

/// The table of what was found, one title per operation, mode, type and kind of buffers.
std::string tunedText(const std::vector<Bucket>& buckets);

}  // namespace lockstep::bench
