#include "bench/options.hpp"

#include <algorithm>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "bench/accepted.hpp"
#include "bench/rival.hpp"
#include "bench/stopping.hpp"
#include "bench/tasks.hpp"

namespace lockstep::bench {
namespace {

constexpr int kMostRanks = 64;  // what Communicator::create takes
constexpr int kMostCalls = 1000000;
constexpr int kRanksToCompare = 4;  // with two, pairwise and group keys cost the same
constexpr std::size_t kHelpColumn = 28;
constexpr const char* kHelpFooter =
    "Examples:\n"
    "  ccbench --mode cc --op allreduce    what encryption costs, 8 B to 64 MiB\n"
    "  ccbench keygen FILE                 makes a key for --psk FILE\n"
    "  ccbench --mode all                  p2p, multicast, cc, cc-multicast; four ranks\n"
    "  ccbench --mode cc --baseline mpi    Open MPI beside them (or gloo, or mpi,gloo)\n"
    "  ccbench --op all --check-only       verify every operation, time nothing\n"
    "  ccbench --device gpu --mode all     the same on GPUs; --graph 1: in CUDA graphs\n"
    "  ccbench seal --help                 how fast a GPU seals and opens by itself\n"
    "  ccbench tune --help                 measures which plan is fastest where\n"
    "  ccbench topo --help                 what is connected to what, and what is wrong with it\n"
    "\n"
    "Exit status: 0 all went well, 1 a run failed, 2 bad input, 3 wrong results, 128+n signal n.";

/// What CLI11 fills: text where we want to word the complaint ourselves.
struct Raw {
  std::string mode = "cc", op = "allreduce", minBytes = "8", maxBytes = "64M", stepBytes,
              types = "f32", reductions = "sum", reproducible = "0", baseline, device = "host",
              launch, graph, check = "1", registered = "0";
  std::optional<int> ranks, root, gpus;
  std::optional<long> stepFactor;
  bool checkOnly = false, explain = false, settings = false, version = false;
};

void declareWhat(CLI::App& app, Raw& raw) {
  const auto add = [&](const char* names, auto& value, const char* type, const char* text) {
    return app.add_option(names, value, text)->type_name(type)->group("What is measured");
  };
  add("--mode", raw.mode, "MODE",
      "p2p, multicast, cc, cc-multicast, cc-masked, or all (the first four),\nbeside p2p")
      ->capture_default_str();
  add("--op", raw.op, "LIST",
      "allreduce,allgather,reducescatter,alltoall,broadcast,\n"
      "reduce,gather,scatter,barrier,sendrecv,alltoallv, or all")
      ->capture_default_str();
  add("-r,--root", raw.root, "RANK", "of the operations that have one (default: 0)")
      ->check(accepted(0, kMostRanks - 1));
  add("--ranks", raw.ranks, "N", "1 to 64 (default: one per core, at least 2; all: 4; on GPUs: 2)")
      ->check(accepted(1, kMostRanks));
  add("-b,--minbytes", raw.minBytes, "SIZE",
      "smallest message (the larger buffer): bytes, or with K, M, G")
      ->capture_default_str();
  add("-e,--maxbytes", raw.maxBytes, "SIZE", "largest message")->capture_default_str();
  add("-f,--stepfactor", raw.stepFactor, "N", "from one size to the next: times this (default 2)")
      ->check(accepted(2, 1 << 20));
  add("-i,--stepbytes", raw.stepBytes, "SIZE", "from one size to the next: plus this");
  add("-d,--datatype", raw.types, "LIST",
      "f16,bf16,f32,f64,i8,u8,i32,u32,i64,u64,\nf8e4m3,f8e5m2, or all")
      ->capture_default_str();
  add("-o,--redop", raw.reductions, "LIST", "sum,prod,min,max,avg,premulsum, or all")
      ->capture_default_str();
  add("--registered", raw.registered, "0|1",
      "1: buffers by the communicator's alloc, read in place; 0: others")
      ->capture_default_str();
  add("--reproducible", raw.reproducible, "0|1|both",
      "1: the same bits in every run and mode; both: each mode beside itself")
      ->capture_default_str();
  add("--baseline", raw.baseline, "LIST",
      "mpi,gloo: measure Open MPI, Gloo in the same processes too; on\nGPUs: nccl");
}

void declareGpus(CLI::App& app, Raw& raw) {
  const auto add = [&](const char* names, auto& value, const char* type, const char* text) {
    return app.add_option(names, value, text)->type_name(type)->group("On GPUs");
  };
  add("--device", raw.device, "host|gpu", "where the buffers are, and who moves them")
      ->capture_default_str();
  add("--gpus", raw.gpus, "N", "use the first N GPUs; ranks beyond share them (default: all)")
      ->check(accepted(1, kMostRanks));
  add("--launch", raw.launch, "HOW",
      "of ranks that share a GPU: streams (each rank's), or together\n(one launch for all, up to 8 "
      "ranks)");
  add("--graph", raw.graph, "0|1", "1: a batch of calls is one CUDA graph (default: 0)");
}

void declareHow(CLI::App& app, Raw& raw, RunConfig& c) {
  const auto add = [&](const char* names, auto& value, const char* type, const std::string& text) {
    return app.add_option(names, value, text)
        ->type_name(type)
        ->group("How long and how carefully")
        ->capture_default_str();
  };
  add("--time-budget", c.budgetSeconds, "SECONDS",
      fmt::format("for all sizes together; each is verified, and measured {} times at\nleast, "
                  "however long that takes",
                  kLeastRounds))
      ->check(accepted(0.1, 86400.0));
  add("-n,--iters", c.iterations, "N", "samples per size and mode; 0: what the time budget allows")
      ->check(accepted(0, kMostCalls));
  add("-w,--warmup_iters", c.warmups, "N", "calls before the first sample")
      ->check(accepted(0, kMostCalls));
  add("-c,--check", raw.check, "0|1", "1: verify every element before timing");
  add("--timeout", c.timeoutSeconds, "SECONDS", "that any wait between ranks may take")
      ->check(accepted(0.1, 3600.0));
  app.add_flag("--check-only", raw.checkOnly, "verify everything, time nothing")
      ->group("How long and how carefully");
}

void declareForced(CLI::App& app, CommandLine& line) {
  const auto add = [&](const char* names, auto& value, const char* type, const char* text) {
    app.add_option(names, value, text)->type_name(type)->group("Choices and keys");
  };
  RunConfig& c = line.config;
  add("--algo", c.algorithm, "NAME", "force it where an operation has it; a wrong one lists them");
  add("--protocol", c.protocol, "NAME", "ll, simple, zero_copy (--explain says what they are)");
  add("--tuning", c.tuningFile, "FILE", "JSON table that selects both (default: built in)");
  add("--cipher", c.cipher, "NAME", "AES-256-GCM of ipsec-mb or openssl");
  add("--psk", line.pskFile, "FILE",
      "pre-shared key, as ccbench keygen makes it (default: fresh for this run)");
  app.add_flag("--insecure-keys", c.insecureKeys,
               "no pre-shared key: open to an active attacker, and says so")
      ->group("Choices and keys");
}

void declareOutput(CLI::App& app, Raw& raw, CommandLine& line) {
  constexpr const char* kGroup = "Output";
  app.add_option("--json", line.jsonFile, "write everything to it, samples included")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_flag("--quiet", line.quiet, "tables and warnings only")->group(kGroup);
  app.add_flag("--explain", raw.explain, "say what would run for each size, and run nothing")
      ->group(kGroup);
  app.add_flag("--settings", raw.settings, "list the LOCKSTEP_* environment variables")
      ->group(kGroup);
  app.add_flag("--version", raw.version, "print the version")->group(kGroup);
  app.set_help_flag("-h,--help", "print this")->group(kGroup);
}

/// An empty value is a variable of a script that was never set, not a wish for the default.
void requireValues(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    for (const std::string& value : option->results())
      if (value.empty())
        throw UsageError(fmt::format("{} is given an empty value; name one or leave {} out",
                                     option->get_name(), option->get_name()));
}

/// What stands between the commas.
std::vector<std::string> itemsOf(const std::string& text, const char* option) {
  std::vector<std::string> items;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    if (end == start) throw UsageError(fmt::format("{} '{}' has a comma too many", option, text));
    items.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return items;
}

template <class Value>
void addOnce(std::vector<Value>& values, const Value& value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

/// The values of a comma-separated list; "all" stands for all there are, whatever is beside it.
template <class Enum>
std::vector<Enum> parseList(const std::string& text, const char* option, std::size_t total,
                            std::optional<Enum> (*parse)(std::string_view)) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < total; ++i) names.push_back(name(static_cast<Enum>(i)));
  std::vector<Enum> values;
  for (const std::string& item : itemsOf(text, option)) {
    const auto value = parse(item);
    if (!value && item != "all")
      throw UsageError(fmt::format("{} '{}' is unknown; there are {}, and all", option, item,
                                   fmt::join(names, ", ")));
    if (value) addOnce(values, *value);
    for (std::size_t i = 0; !value && i < total; ++i) addOnce(values, static_cast<Enum>(i));
  }
  return values;
}

std::vector<std::string> parseRivals(const std::string& text) {
  std::vector<std::string> known, rivals;
  for (const RivalKind& kind : rivalKinds()) known.emplace_back(kind.name);
  for (const std::string& item : itemsOf(text, "--baseline")) {
    if (std::find(known.begin(), known.end(), item) == known.end())
      throw UsageError(
          fmt::format("--baseline '{}' is unknown; there are {}", item, fmt::join(known, ", ")));
    addOnce(rivals, item);
  }
  return rivals;
}

std::vector<Mode> parseModes(const std::string& text) {
  if (text == "all") return {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};
  const auto mode = parseMode(text);
  if (!mode)
    throw UsageError(
        fmt::format("--mode '{}' is unknown; there are {}, and all (of them but cc-masked)", text,
                    fmt::join(lockstep::detail::kModeNames, ", ")));
  return *mode == Mode::p2p ? std::vector{Mode::p2p} : std::vector{Mode::p2p, *mode};
}

bool parseSwitch(const std::string& text, const char* option) {
  if (text != "0" && text != "1")
    throw UsageError(fmt::format("{} is 0 or 1, not {}", option, text));
  return text == "1";
}

std::vector<bool> parseReproducible(const std::string& text) {
  if (text == "both") return {false, true};
  if (text != "0" && text != "1")
    throw UsageError(fmt::format("--reproducible is 0, 1 or both, not {}", text));
  return {text == "1"};
}

SizeRange parseSizes(const Raw& raw) {
  if (!raw.stepBytes.empty() && raw.stepFactor)
    throw UsageError("--stepbytes and --stepfactor exclude each other");
  SizeRange sizes;
  sizes.minBytes = parseSize(raw.minBytes);
  sizes.maxBytes = parseSize(raw.maxBytes);
  if (raw.stepFactor) sizes.stepFactor = static_cast<std::size_t>(*raw.stepFactor);
  if (!raw.stepBytes.empty()) {
    sizes.stepBytes = parseSize(raw.stepBytes);
    if (sizes.stepBytes == 0) throw UsageError("--stepbytes must be at least 1");
  }
  listSizes(sizes);
  return sizes;
}

int parseRoot(int root, const RunConfig& config) {
  if (root >= config.ranks)
    throw UsageError(fmt::format("--root is from 0 to {}, not {}", config.ranks - 1, root));
  const auto rooted = [](Operation op) { return contractOf(op).rooted; };
  if (std::none_of(config.ops.begin(), config.ops.end(), rooted))
    throw UsageError(
        "--root is given, and no operation of this run has one; broadcast, reduce, gather and "
        "scatter have");
  return root;
}

/// Every operation and type must have a message to send.
void requireRoomForElements(const RunConfig& config) {
  for (const Operation op : config.ops)
    for (const DataType type : config.types)
      if (countsFor(config, op, type).empty())
        throw UsageError(fmt::format(
            "no size holds an element of {} per block of {} ({} bytes); raise --maxbytes",
            name(type), name(op), sizeOf(type) * blocksOf(op, config.ranks)));
}

void takeFromEnvironment(std::string& option, const char* variable) {
  if (const char* value = std::getenv(variable); value != nullptr && option.empty()) option = value;
}

/// What is only of GPUs, or only of the host, does nothing elsewhere: then it is a mistake.
void interpretDevice(const Raw& raw, RunConfig& c) {
  if (raw.device != "host" && raw.device != "gpu")
    throw UsageError(fmt::format("--device is host or gpu, not '{}'", raw.device));
  c.gpu = raw.device == "gpu";
  if (!c.gpu) {
    for (const auto& [given, option] :
         {std::pair(raw.gpus.has_value(), "--gpus"), std::pair(!raw.graph.empty(), "--graph"),
          std::pair(!raw.launch.empty(), "--launch")})
      if (given) throw UsageError(fmt::format("{} is for --device gpu", option));
    return;
  }
  c.gpus = raw.gpus.value_or(0);
  c.graph = !raw.graph.empty() && parseSwitch(raw.graph, "--graph");
  if (!raw.launch.empty() && raw.launch != "streams" && raw.launch != "together")
    throw UsageError(fmt::format("--launch is streams or together, not '{}'", raw.launch));
  c.together = raw.launch == "together";
  if (!c.cipher.empty())
    throw UsageError("--cipher is for --device host: kernels have one AES-256-GCM of their own");
}

void requireRivalsOfDevice(const RunConfig& c) {
  for (const RivalKind& kind : rivalKinds())
    if (kind.gpu != c.gpu &&
        std::find(c.rivals.begin(), c.rivals.end(), kind.name) != c.rivals.end())
      throw UsageError(
          fmt::format("--baseline {} is for --device {}", kind.name, kind.gpu ? "gpu" : "host"));
}

int defaultRanks(const Raw& raw, const Machine& machine) {
  if (raw.mode == "all") return kRanksToCompare;
  return raw.device == "gpu" ? 2 : std::clamp(machine.cores, 2, kMostRanks);
}

void interpret(const Raw& raw, const Machine& machine, CommandLine& line) {
  RunConfig& c = line.config;
  c.ops = parseList(raw.op, "--op", kOperations, parseOperation);
  c.modes = parseModes(raw.mode);
  c.cores = machine.cores;
  c.ranks = raw.ranks.value_or(defaultRanks(raw, machine));
  if (raw.root) c.root = parseRoot(*raw.root, c);
  c.sizes = parseSizes(raw);
  c.types = parseList(raw.types, "--datatype", kDataTypes, parseDataType);
  c.reductions = parseList(raw.reductions, "--redop", kReductions, parseReduction);
  requireRoomForElements(c);
  c.check = parseSwitch(raw.check, "--check");
  c.checkOnly = raw.checkOnly;
  if (c.checkOnly && !c.check) throw UsageError("--check-only and --check 0 exclude each other");
  c.reproducible = parseReproducible(raw.reproducible);
  c.registered = parseSwitch(raw.registered, "--registered");
  if (!raw.baseline.empty()) c.rivals = parseRivals(raw.baseline);
  interpretDevice(raw, c);
  requireRivalsOfDevice(c);
  // What the library would take by itself, said: the bound is of the same cipher, and the report
  // names what was forced.
  if (!c.gpu) takeFromEnvironment(c.cipher, "LOCKSTEP_CIPHER");
  takeFromEnvironment(c.algorithm, "LOCKSTEP_ALGORITHM");
  takeFromEnvironment(c.protocol, "LOCKSTEP_PROTOCOL");
  takeFromEnvironment(c.tuningFile, "LOCKSTEP_TUNING_FILE");
  if (c.insecureKeys && !line.pskFile.empty())
    throw UsageError("--psk and --insecure-keys exclude each other");
}

void explainOnly(CommandLine& line) {
  RunConfig& c = line.config;
  if (c.checkOnly) throw UsageError("--explain and --check-only exclude each other");
  if (!c.rivals.empty())
    throw UsageError("--explain and --baseline exclude each other: what rivals do is not known");
  c.planOnly = true;
  line.action = Action::explain;
}

}  // namespace

CommandLine parseCommandLine(const std::vector<std::string>& arguments, const Machine& machine) {
  CLI::App app("ccbench: what collectives cost, in the clear and encrypted, side by side",
               "ccbench");
  Raw raw;
  CommandLine line;
  declareWhat(app, raw);
  declareGpus(app, raw);
  declareHow(app, raw, line.config);
  declareForced(app, line);
  declareOutput(app, raw, line);
  app.get_formatter()->column_width(kHelpColumn);
  app.footer(kHelpFooter);
  try {
    app.parse(std::vector(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    requireValues(app);
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
  if (raw.explain) explainOnly(line);
  return line;
}

}  // namespace lockstep::bench
