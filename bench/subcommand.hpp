// What small subcommands share: reading their arguments, or telling what they are.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/options.hpp"
#include "bench/output.hpp"

namespace lockstep::bench {

/// False if help was asked for, which has been printed then. Throws UsageError.
inline bool readArguments(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    app.parse(std::vector(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    return true;
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return false;
  } catch (const CLI::ParseError& error) {
    throw UsageError(
        fmt::format("{} ({} --help says what it takes)", error.what(), app.get_name()));
  }
}

}  // namespace lockstep::bench
