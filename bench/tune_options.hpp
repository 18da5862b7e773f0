// The command line of `ccbench tune`: its own options, and those of ccbench that say what to
// measure.
#pragma once

#include <string>
#include <vector>

#include "bench/options.hpp"

namespace lockstep::bench {

struct TuneLine {
  CommandLine run;         ///< with RunConfig::tune, and p2p before the modes to tune
  std::string help;        ///< text, if that was asked for
  std::string output;      ///< the tuning file
  bool ownFolder = false;  ///< `output` is where ccbench keeps it: its folder may have to be made
  bool perType = false;    ///< rules are for the types that were named, else for all
};

/// Reads what follows "tune". Throws UsageError.
TuneLine parseTuneLine(const std::vector<std::string>& arguments, const Machine& machine);

}  // namespace lockstep::bench
