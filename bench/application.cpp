#include "bench/application.hpp"

#include <algorithm>
#include <csignal>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "bench/gpu_seal.hpp"
#include "bench/keygen.hpp"
#include "bench/launched.hpp"
#include "bench/launcher.hpp"
#include "bench/options.hpp"
#include "bench/output.hpp"
#include "bench/plans.hpp"
#include "bench/progress.hpp"
#include "bench/report.hpp"
#include "bench/tasks.hpp"
#include "bench/topo.hpp"
#include "bench/tune.hpp"

namespace lockstep::bench {
std::vector<std::byte> keyFor(const CommandLine& line) {
  return line.config.insecureKeys ? std::vector<std::byte>() : readOrDrawPsk(line.pskFile);
}

void requireMemory(const RunConfig& config) {
  const std::size_t sets =
      (config.registered ? variantsOf(config).size() : 1) + (config.rivals.empty() ? 0 : 1);
  const double needed =
      2.0 * static_cast<double>(largestMessage(config)) * static_cast<double>(sets) * config.ranks;
  const auto available = static_cast<double>(availableMemory());
  if (needed > available)
    throw UsageError(fmt::format(
        "--maxbytes {} needs {} for the buffers of {} ranks, and there are {}; lower it or --ranks",
        formatBytes(static_cast<double>(config.sizes.maxBytes)), formatBytes(needed), config.ranks,
        formatBytes(available)));
}

namespace {

/// The library forces an algorithm where a collective has it. If none of these has, the user meant
/// something else.
void requireForcible(const Communicator& communicator, const RunConfig& config) {
  const std::string& wanted = communicator.options().algorithm;
  const auto has = [&](Operation op) {
    const auto collective = collectiveOf(op);
    return collective &&
           communicator.plan(*collective, 1, config.types.front(), config.registered).algorithm ==
               wanted;
  };
  if (wanted.empty() || std::any_of(config.ops.begin(), config.ops.end(), has)) return;
  std::vector<std::string_view> names;
  for (const Operation op : config.ops) names.push_back(name(op));
  throw UsageError(fmt::format("there is no algorithm '{}' for {} (--algo or LOCKSTEP_ALGORITHM)",
                               wanted, fmt::join(names, ", ")));
}

/// What the library would refuse (algorithm, cipher, tuning file, ...), refused before any process
/// starts.
void requireOptionsAccepted(const CommandLine& line, const std::vector<std::byte>& psk) {
  for (const Variant variant : variantsOf(line.config)) try {
      Options options = communicatorOptions(line.config, variant, psk);
      const WipeAtEnd wiper(options.psk);
      const auto alone = Communicator::createInProcess(1, options);
      for (const Operation op : line.config.ops)
        if (const auto collective = collectiveOf(op))
          alone.front().plan(*collective, 1, line.config.types.front(), line.config.registered);
      requireForcible(alone.front(), line.config);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalidArgument && error.code() != ErrorCode::unsupported)
        throw;
      throw UsageError(error.what());
    }
}

int printSettings() {
  const auto widest = [](std::string_view Setting::*field, std::string_view heading) {
    std::size_t width = heading.size();
    for (const Setting& s : settings()) width = std::max(width, (s.*field).size());
    return width;
  };
  const std::size_t names = widest(&Setting::name, "variable");
  const std::size_t types = widest(&Setting::type, "type");
  const std::size_t fallbacks = widest(&Setting::fallback, "default");
  std::string text = "Environment variables that the library reads; what an option sets wins.\n\n";
  const auto add = [&](auto name, auto type, auto fallback, auto meaning) {
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {}\n", name, names, type, types, fallback,
                        fallbacks, meaning);
  };
  add("variable", "type", "default", "meaning");
  for (const Setting& s : settings())
    add(s.name, s.type, s.fallback.empty() ? "-" : s.fallback, s.meaning);
  print(text);
  return kSuccess;
}

}  // namespace

int explainFailure(const Outcome& outcome) {
  if (outcome.signal != 0) {
    complain(fmt::format("{} (SIG{})", outcome.signal == SIGINT ? "interrupted" : "ended",
                         sigabbrev_np(outcome.signal)));
    return 128 + outcome.signal;
  }
  for (const std::string& fault : outcome.faults) complain("wrong result: " + fault);
  for (const std::string& error : outcome.errors) complain(error);
  return outcome.badRequest ? kBadUsage : kRunFailed;
}

namespace {

class Application {
 public:
  Application(CommandLine line, Machine machine) : line_(std::move(line)) {
    report_.machine = std::move(machine);
    if (line_.config.gpu) findGpus();
    report_.config = line_.config;
  }

  int run() {
    if (!line_.jsonFile.empty()) requireWritable(line_.jsonFile);
    requireMemory(line_.config);
    psk_ = keyFor(line_);
    requireOptionsAccepted(line_, psk_);
    const int status = measure();
    if (report_.runs.empty()) return status;
    if (!line_.jsonFile.empty()) writeFile(line_.jsonFile, reportJson(report_).dump(1) + '\n');
    show(comparablePart(report_));
    for (const std::string& fault : report_.faults) complain("wrong result: " + fault);
    return report_.complete && !report_.faults.empty() ? kWrongResults : status;
  }

 private:
  void findGpus() {
    report_.gpus = detectGpus(line_.config.gpus);
    line_.config.gpus = static_cast<int>(report_.gpus->devices.size());
    report_.notes = leaveOutWhatGpusLack(line_.config);
    requireGpuMemory(line_.config, *report_.gpus);
    requireTogetherPossible(line_.config);
  }

  Launch prepare(ProgressLine& line, const std::string& what) const {
    return {report_.config, psk_, report_.machine.cpus,
            [&line, what](std::size_t done, std::size_t total, const std::string& text) {
              line.show(what, done, total, text);
            }};
  }

  /// Also what was done of a run that ended early.
  int keep(const std::string& name, Outcome outcome) {
    report_.complete = outcome.result && outcome.signal == 0;
    auto& result = report_.complete ? outcome.result : outcome.finished;
    if (result) {
      report_.faults.insert(report_.faults.end(), outcome.faults.begin(), outcome.faults.end());
      report_.runs.push_back({name, std::move(*result)});
      outcome.faults.clear();
    }
    return report_.complete ? kSuccess : explainFailure(outcome);
  }

  /// The budget is for the whole, so each setting of a rival gets its share.
  int measure() {
    const std::vector<RivalSetting> settings = listSettings();
    for (const RivalSetting& setting : settings) {
      ProgressLine progress(!line_.quiet);
      Launch launch = prepare(progress, setting.name.empty() ? "" : setting.name + ' ');
      launch.config.budgetSeconds /= static_cast<double>(settings.size());
      launch.config.rivals.clear();
      if (!setting.rival.empty()) launch.config.rivals = {setting.rival};
      if (const int status = keep(setting.name, setting.launch(launch)); status != kSuccess)
        return status;
    }
    return kSuccess;
  }

  /// All are looked for before any is run.
  std::vector<RivalSetting> listSettings() const {
    if (line_.config.rivals.empty()) return {{"", "", launchRanks}};
    std::vector<RivalSetting> settings;
    for (const std::string& rival : line_.config.rivals)
      for (RivalSetting& setting : settingsBeside(rival)) settings.push_back(std::move(setting));
    return settings;
  }

  void show(const Report& report) const {
    if (line_.action == Action::explain) return print(warningText(report) + explainText(report));
    const std::string header = line_.quiet ? "" : headerText(report);
    print(header + warningText(report) +
          (line_.config.checkOnly ? verdictText(report) : tables(report)));
  }

  /// Operation after operation; the whole story where there is but one.
  std::string tables(const Report& report) const {
    const std::vector<Report> operations = byOperation(report);
    std::string text;
    for (const Report& op : operations) {
      if (operations.size() > 1) text += titleText(op);
      if (!line_.quiet) text += planText(op);
      text += timesText(op) + bytesText(op) + memoryText(op) + regressionText(op) +
              reproducibleText(op) + rivalText(op);
      if (!line_.quiet) text += operations.size() == 1 ? storyText(op) : shortStoryText(op);
    }
    if (!line_.quiet && operations.size() > 1 && line_.config.ranks > 1 &&
        line_.config.modes.size() > 1)
      text += "\nOf one operation alone, --op NAME says more: smaller messages too.\n";
    return text;
  }

  CommandLine line_;
  Report report_;
  std::vector<std::byte> psk_;
  WipeAtEnd<std::vector<std::byte>> wiper_{psk_};
};

int act(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments.front() == kTopoCommand)
    return runTopo({arguments.begin() + 1, arguments.end()});
  if (!arguments.empty() && arguments.front() == kKeygenCommand)
    return runKeygen({arguments.begin() + 1, arguments.end()});
  if (!arguments.empty() && arguments.front() == kSealCommand)
    return runSeal({arguments.begin() + 1, arguments.end()});
  Machine machine = detectMachine();
  if (!arguments.empty() && arguments.front() == kTuneCommand)
    return runTune({arguments.begin() + 1, arguments.end()}, machine);
  CommandLine line = parseCommandLine(arguments, machine);
  switch (line.action) {
    case Action::help:
      print(line.help);
      return kSuccess;
    case Action::version:
      print(fmt::format("ccbench {}\n", version()));
      return kSuccess;
    case Action::settings:
      return printSettings();
    default:
      requireStartedOnce();
      return Application(std::move(line), std::move(machine)).run();
  }
}

}  // namespace

int runApplication(const std::vector<std::string>& arguments) {
  try {
    return act(arguments);
  } catch (const UsageError& error) {
    complain(error.what());
    return kBadUsage;
  } catch (const std::exception& error) {
    complain(error.what());
    return kRunFailed;
  }
}

}  // namespace lockstep::bench
