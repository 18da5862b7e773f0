#include "bench/tune_options.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "bench/accepted.hpp"
#include "bench/tune_file.hpp"

namespace lockstep::bench {
namespace {

constexpr const char* kFooter =
    "Further options are those of ccbench, and mean the same: --op, --mode (tunes this one, or\n"
    "all), --ranks, --root, --redop, --minbytes, --stepbytes, --iters, --timeout, --cipher,\n"
    "--psk, --insecure-keys, --json, --quiet.\n"
    "\n"
    "Rules are for the operation, mode, number of ranks and kind of buffers they were measured\n"
    "with, and for this machine. They change what other runs do only where these are told of the\n"
    "file: ccbench --tuning FILE, LOCKSTEP_TUNING_FILE, Options::tuningFile.";

/// What tune asks for otherwise than ccbench does.
struct Own {
  std::string output, registered = "both", maxBytes = "16M", types, stepFactor = "4";
  double budget = 0;
};

void declare(CLI::App& app, Own& own) {
  app.add_option("--output", own.output,
                 "tuning file to write, or to change\n(default: " +
                     (defaultTuningFile().empty() ? "none" : defaultTuningFile()) + ")")
      ->type_name("FILE");
  app.add_option("--registered", own.registered, "0, 1 or both kinds of buffers")
      ->type_name("WHICH")
      ->capture_default_str();
  app.add_option("-e,--maxbytes", own.maxBytes, "largest message")
      ->type_name("SIZE")
      ->capture_default_str();
  app.add_option("-f,--stepfactor", own.stepFactor, "from one size to the next: times this")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("-d,--datatype", own.types,
                 "rules for these types (default: measures f32, for all)")
      ->type_name("LIST");
  app.add_option("--time-budget", own.budget,
                 "to choose plans in; each is verified, however long that takes\n"
                 "(default: 25 for each operation, mode and kind of buffers)")
      ->type_name("SECONDS")
      ->check(accepted(0.1, 86400.0));
  app.allow_extras();
  app.footer(kFooter);
  app.get_formatter()->column_width(28);
}

std::string buffersOf(const std::string& registered) {
  if (registered == "both") return "both";
  if (registered == "0") return "ordinary";
  if (registered == "1") return "registered";
  throw UsageError(fmt::format("--registered is 0, 1 or both, not '{}'", registered));
}

/// ccbench measures a mode beside p2p; here p2p is what the ranks agree through.
std::vector<Mode> modesToTune(const std::vector<Mode>& sideBySide) {
  std::vector<Mode> modes = sideBySide;
  if (modes.size() != 2) modes.insert(modes.begin(), Mode::p2p);
  return modes;
}

void refuse(const CommandLine& line) {
  const RunConfig& c = line.config;
  const bool forced = !c.algorithm.empty() || !c.protocol.empty() || !c.tuningFile.empty();
  if (line.action != Action::run || !c.rivals.empty() || c.checkOnly || !c.check || forced)
    throw UsageError(
        "tune takes no --explain, --baseline, --check, --check-only, --algo, --protocol or "
        "--tuning, nor LOCKSTEP_ALGORITHM or LOCKSTEP_PROTOCOL in the environment: it tries what "
        "there is, and always verifies");
  if (c.reductions.size() != 1 || c.reductions.front() == Reduction::preMulSum)
    throw UsageError("tune takes one --redop, and not premulsum: rules are for all of them");
  if (c.ranks < 2) throw UsageError("tune needs at least 2 --ranks: one has nothing to choose");
}

double budgetOf(const RunConfig& config) {
  double series = 0;
  for (std::size_t m = 1; m < config.modes.size(); ++m)
    series += isSealed(config.modes[m]) || config.tune != "both" ? 1 : 2;
  return 25 * series * static_cast<double>(config.ops.size() * config.types.size());
}

}  // namespace

TuneLine parseTuneLine(const std::vector<std::string>& arguments, const Machine& machine) {
  CLI::App app("ccbench tune: measures which plan is fastest where, and writes a tuning file",
               "ccbench tune");
  Own own;
  declare(app, own);
  TuneLine line;
  std::vector<std::string> rest;
  try {
    app.parse(std::vector(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    rest = app.remaining();
  } catch (const CLI::CallForHelp&) {
    line.help = app.help();
    return line;
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{} (ccbench tune --help lists the options)", error.what()));
  }
  const bool adds = std::ranges::any_of(rest, [](const std::string& word) {
    return word.starts_with("-i") || word.starts_with("--stepbytes");
  });
  rest.insert(rest.end(), {"-e", own.maxBytes});
  if (!adds) rest.insert(rest.end(), {"-f", own.stepFactor});
  if (!own.types.empty()) rest.insert(rest.end(), {"-d", own.types});
  line.run = parseCommandLine(rest, machine);
  refuse(line.run);

  RunConfig& config = line.run.config;
  std::erase_if(config.ops, [](Operation op) { return !collectiveOf(op); });
  if (config.ops.empty()) throw UsageError("tune takes collectives: transfers have no plans");
  config.tune = buffersOf(own.registered);
  config.registered = config.tune != "ordinary";
  config.modes = modesToTune(config.modes);
  config.budgetSeconds = own.budget > 0 ? own.budget : budgetOf(config);
  line.perType = !own.types.empty();
  line.ownFolder = own.output.empty();
  line.output = own.output.empty() ? defaultTuningFile() : own.output;
  if (line.output.empty())
    throw UsageError("there is neither XDG_CACHE_HOME nor HOME; name a file with --output");
  return line;
}

}  // namespace lockstep::bench
