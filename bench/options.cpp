#include "bench/options.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lockstep::bench {
namespace {

constexpr int kMostRanks = 64;      // what Communicator::create takes
constexpr int kRanksToCompare = 4;  // with two, pairwise and group keys cost the same
constexpr const char* kCollectives[] = {"allreduce"};

/// What CLI11 fills: text where we want to word the complaint ourselves.
struct Raw {
  std::string mode = "cc", op = "allreduce", minBytes = "8", maxBytes = "64M", stepBytes,
              types = "f32", reductions = "sum", baseline;
  int ranks = 0, check = 1, registered = 0;
  long stepFactor = 0;
  bool explain = false, settings = false, version = false;
};

void declare(CLI::App& app, Raw& raw, CommandLine& line) {
  RunConfig& c = line.config;
  app.add_option("--mode", raw.mode,
                 "p2p, multicast, cc, cc-multicast (p2p is measured beside it), or all")
      ->capture_default_str();
  app.add_option("--op", raw.op, "collective: allreduce")->capture_default_str();
  app.add_option(
      "--ranks", raw.ranks,
      "processes, 1 to 64 (default: the number of cores, at least 2; 4 with --mode all)");
  app.add_option("-b,--minbytes", raw.minBytes, "smallest message: bytes, or with K, M, G")
      ->capture_default_str();
  app.add_option("-e,--maxbytes", raw.maxBytes, "largest message")->capture_default_str();
  app.add_option("-f,--stepfactor", raw.stepFactor,
                 "from one size to the next: times this (default 2)");
  app.add_option("-i,--stepbytes", raw.stepBytes, "from one size to the next: plus this");
  app.add_option("-n,--iters", c.iterations,
                 "timed samples per size and mode; 0: as many as the time budget allows")
      ->capture_default_str();
  app.add_option("-w,--warmup_iters", c.warmups, "calls before the first sample")
      ->capture_default_str();
  app.add_option("-d,--datatype", raw.types,
                 "f16 bf16 f32 f64 i8 u8 i32 u32 i64 u64, comma-separated, or all")
      ->capture_default_str();
  app.add_option("-o,--redop", raw.reductions, "sum prod min max avg, comma-separated, or all")
      ->capture_default_str();
  app.add_option("-c,--check", raw.check, "1: verify every element before timing; 0: do not")
      ->capture_default_str();
  app.add_option("--algo", c.algorithm,
                 "force an algorithm: one_shot, two_shot, ring, halving_doubling, tree");
  app.add_option("--protocol", c.protocol, "force a protocol: ll, simple, zero_copy");
  app.add_option("--registered", raw.registered,
                 "1: buffers by Communicator::alloc, read in place; 0: ordinary memory")
      ->capture_default_str();
  app.add_option("--cipher", c.cipher, "force an AES-256-GCM: ipsec-mb, openssl");
  app.add_option(
      "--psk", line.pskFile,
      "file with the pre-shared key, at least 32 random bytes (default: fresh for this run)");
  app.add_flag("--insecure-keys", c.insecureKeys,
               "no pre-shared key: open to an active attacker, and says so");
  app.add_option("--tuning", c.tuningFile,
                 "JSON table that selects algorithms (default: the built-in one)");
  app.add_option("--timeout", c.timeoutSeconds, "seconds that any wait between ranks may take")
      ->capture_default_str();
  app.add_option("--time-budget", c.budgetSeconds, "seconds for the whole table")
      ->capture_default_str();
  app.add_option("--baseline", raw.baseline,
                 "mpi: run under mpirun and measure Open MPI in the same processes");
  app.add_option("--json", line.jsonFile, "write everything, samples included, to this file");
  app.add_flag("--quiet", line.quiet, "tables only");
  app.add_flag("--explain", raw.explain, "say what would run for each size, and run nothing");
  app.add_flag("--settings", raw.settings, "list the LOCKSTEP_* environment variables");
  app.add_flag("--version", raw.version, "print the version");
}

/// The values of a comma-separated list, or all there are.
template <class Enum>
std::vector<Enum> parseList(const std::string& text, const char* option, std::size_t total,
                            std::optional<Enum> (*parse)(std::string_view)) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < total; ++i) names.push_back(name(static_cast<Enum>(i)));
  std::vector<Enum> values;
  if (text == "all") {
    for (std::size_t i = 0; i < total; ++i) values.push_back(static_cast<Enum>(i));
    return values;
  }
  for (const std::string& item : CLI::detail::split(text, ',')) {
    const auto value = parse(item);
    if (!value)
      throw UsageError(fmt::format("{} '{}' is unknown; there are {}, and all", option, item,
                                   fmt::join(names, ", ")));
    if (std::find(values.begin(), values.end(), *value) == values.end()) values.push_back(*value);
  }
  return values;
}

std::vector<Mode> parseModes(const std::string& text) {
  if (text == "all") return {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};
  const auto mode = parseMode(text);
  if (!mode)
    throw UsageError(fmt::format(
        "--mode '{}' is unknown; there are p2p, multicast, cc, cc-multicast, and all", text));
  return *mode == Mode::p2p ? std::vector{Mode::p2p} : std::vector{Mode::p2p, *mode};
}

bool parseSwitch(int value, const char* option) {
  if (value != 0 && value != 1)
    throw UsageError(fmt::format("{} is 0 or 1, not {}", option, value));
  return value == 1;
}

void requireWithin(double value, double low, double high, const char* option) {
  if (!(value >= low && value <= high))
    throw UsageError(fmt::format("{} is from {} to {}, not {}", option, low, high, value));
}

SizeRange parseSizes(const Raw& raw) {
  if (!raw.stepBytes.empty() && raw.stepFactor != 0)
    throw UsageError("--stepbytes and --stepfactor exclude each other");
  SizeRange sizes;
  sizes.minBytes = parseSize(raw.minBytes);
  sizes.maxBytes = parseSize(raw.maxBytes);
  if (raw.stepFactor != 0) {
    requireWithin(static_cast<double>(raw.stepFactor), 2, 1 << 20, "--stepfactor");
    sizes.stepFactor = static_cast<std::size_t>(raw.stepFactor);
  }
  if (!raw.stepBytes.empty()) {
    sizes.stepBytes = parseSize(raw.stepBytes);
    if (sizes.stepBytes == 0) throw UsageError("--stepbytes must be at least 1");
  }
  listSizes(sizes);
  return sizes;
}

/// Every type must have a message to send.
void requireRoomForElements(const RunConfig& config) {
  for (const DataType type : config.types)
    if (sizesFor(config, type).empty())
      throw UsageError(fmt::format("no size holds an element of {} ({} bytes); raise --maxbytes",
                                   name(type), sizeOf(type)));
}

void interpret(const Raw& raw, const Machine& machine, CommandLine& line) {
  RunConfig& c = line.config;
  if (std::find(std::begin(kCollectives), std::end(kCollectives), raw.op) == std::end(kCollectives))
    throw UsageError(
        fmt::format("--op '{}' is unknown; there is {}", raw.op, fmt::join(kCollectives, ", ")));
  c.modes = parseModes(raw.mode);
  c.cores = machine.cores;
  c.ranks = raw.ranks;
  if (raw.ranks == 0)
    c.ranks = raw.mode == "all" ? kRanksToCompare : std::clamp(machine.cores, 2, kMostRanks);
  requireWithin(c.ranks, 1, kMostRanks, "--ranks");
  c.sizes = parseSizes(raw);
  c.types = parseList(raw.types, "--datatype", kDataTypes, parseDataType);
  c.reductions = parseList(raw.reductions, "--redop", kReductions, parseReduction);
  requireRoomForElements(c);
  c.check = parseSwitch(raw.check, "--check");
  c.registered = parseSwitch(raw.registered, "--registered");
  requireWithin(c.iterations, 0, 1e6, "--iters");
  requireWithin(c.warmups, 0, 1e6, "--warmup_iters");
  requireWithin(c.timeoutSeconds, 0.1, 3600, "--timeout");
  requireWithin(c.budgetSeconds, 0.1, 86400, "--time-budget");
  if (!raw.baseline.empty() && raw.baseline != "mpi")
    throw UsageError(fmt::format("--baseline '{}' is unknown; there is mpi", raw.baseline));
  line.mpi = !raw.baseline.empty();
  if (c.insecureKeys && !line.pskFile.empty())
    throw UsageError("--psk and --insecure-keys exclude each other");
}

}  // namespace

CommandLine parseCommandLine(const std::vector<std::string>& arguments, const Machine& machine) {
  CLI::App app("ccbench: what collectives cost, in the clear and encrypted, side by side",
               "ccbench");
  Raw raw;
  CommandLine line;
  declare(app, raw, line);
  try {
    app.parse(std::vector(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp&) {
    line.action = Action::help;
    line.help = app.help();
    return line;
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{} (ccbench --help lists the options)", error.what()));
  }
  if (raw.version || raw.settings) {
    line.action = raw.version ? Action::version : Action::settings;
    return line;
  }
  interpret(raw, machine, line);
  line.config.planOnly = raw.explain;
  if (raw.explain) line.action = Action::explain;
  return line;
}

}  // namespace lockstep::bench
