// The command line.
#pragma once

#include <string>

#include "bench/config.hpp"
#include "bench/machine.hpp"

namespace lockstep::bench {

enum class Action { run, explain, help, version, settings };

struct CommandLine {
  Action action = Action::run;
  std::string help;  ///< text, for Action::help
  RunConfig config;
  std::string jsonFile;  ///< empty: none
  std::string pskFile;   ///< empty: a fresh key for this run
  bool quiet = false;    ///< tables only
};

/// Reads the arguments (without the program's name). Defaults that depend on the machine come from
/// `machine`. Throws UsageError, whose text says what is accepted.
CommandLine parseCommandLine(const std::vector<std::string>& arguments, const Machine& machine);

}  // namespace lockstep::bench
