#include "bench/tune.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/secret.hpp"
#include "bench/application.hpp"
#include "bench/launched.hpp"
#include "bench/launcher.hpp"
#include "bench/output.hpp"
#include "bench/progress.hpp"
#include "bench/report.hpp"
#include "bench/text_table.hpp"
#include "bench/tune_file.hpp"
#include "bench/tune_options.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

bool sameSeries(const Bucket& a, const Bucket& b) {
  return a.op == b.op && a.mode == b.mode && a.type == b.type && a.buffers == b.buffers;
}

std::vector<std::vector<Bucket>> seriesOf(const std::vector<Bucket>& buckets) {
  std::vector<std::vector<Bucket>> series;
  for (const Bucket& bucket : buckets) {
    if (series.empty() || !sameSeries(series.back().back(), bucket)) series.emplace_back();
    series.back().push_back(bucket);
  }
  return series;
}

std::string time(double microseconds) {
  if (microseconds == 0) return "-";
  return microseconds < 100 ? fmt::format("{:.3g}", microseconds)
                            : fmt::format("{:.0f}", microseconds);
}

std::string percent(double ratio) {
  return fmt::format("{:+.0f}", (ratio - 1) * 100);
}

/// Both ends are above nothing, else the plan would not have been chosen.
std::string intervalText(const Bucket& b) {
  return fmt::format("{:.0f}..{:.0f}", (b.low - 1) * 100, (b.high - 1) * 100);
}

std::string seriesText(const std::vector<Bucket>& series) {
  TextTable table;
  table.addColumn("", "size");
  table.addColumn("built in", "plan");
  table.addColumn("built in", "time", "us");
  table.addColumn("chosen", "plan");
  table.addColumn("chosen", "time", "us");
  table.addColumn("faster", "by", "%");
  table.addColumn("faster", "95 %");
  table.addColumn("", "model", "us");
  for (const Bucket& b : series) {
    const bool stays = b.chosen == b.builtIn;
    const bool compared = !stays && b.builtInUs > 0;
    table.addRow({b.bytes == 0 ? "-" : formatBytes(static_cast<double>(b.bytes)),
                  describe(b.builtIn), time(b.builtInUs), stays ? "stays" : describe(b.chosen),
                  stays ? "" : time(b.chosenUs), compared ? percent(b.speedup) : "",
                  compared ? intervalText(b) : "", time(b.chosenPredictedUs)});
  }
  return table.text();
}

/// "2026-11-21", of this place's calendar.
std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  localtime_r(&now, &parts);
  return fmt::format("{:%Y-%m-%d}", parts);
}

std::string readIfThere(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

/// A file that the library refuses, or that is of an older version, is not ours to change.
void requireGoodFile(const std::string& path) {
  const std::string old = readIfThere(path);
  if (old.empty()) return;
  try {
    Options options;
    options.tuningFile = path;
    static_cast<void>(Communicator::createInProcess(1, options));
    mergeInto(old, machine(), "", {}, {});
  } catch (const Error& error) {
    throw UsageError(fmt::format("--output {}: {}", path, error.what()));
  }
}

class Tuning {
 public:
  Tuning(TuneLine line, const Machine& machine) : line_(std::move(line)), machine_(machine) {}

  int run() {
    prepareOutput();
    requireMemory(config());
    const Outcome outcome = launch();
    if (!outcome.result || outcome.signal != 0) return explainFailure(outcome);
    const std::vector<Bucket>& buckets = outcome.result->tuned;
    const std::size_t rules = write(buckets);
    if (!line_.run.jsonFile.empty())
      writeFile(line_.run.jsonFile, nlohmann::json(*outcome.result).dump(1) + '\n');
    print(header() + tunedText(buckets) + footer(buckets, rules));
    for (const std::string& fault : outcome.faults) complain("wrong result: " + fault);
    return outcome.faults.empty() ? kSuccess : kWrongResults;
  }

 private:
  const RunConfig& config() const { return line_.run.config; }

  void prepareOutput() const {
    if (line_.ownFolder) {
      std::error_code error;
      std::filesystem::create_directories(std::filesystem::path(line_.output).parent_path(), error);
    }
    requireWritable(line_.output, "--output");
    requireGoodFile(line_.output);
    if (!line_.run.jsonFile.empty()) requireWritable(line_.run.jsonFile);
  }

  Outcome launch() const {
    ProgressLine progress(!line_.run.quiet);
    std::vector<std::byte> psk = keyFor(line_.run);
    const WipeAtEnd wiper(psk);
    return launchRanks({config(), psk, machine_.cpus,
                        [&](std::size_t done, std::size_t total, const std::string& text) {
                          progress.show("tuning ", done, total, text);
                        }});
  }

  /// Rules written.
  std::size_t write(const std::vector<Bucket>& buckets) const {
    std::vector<Measured> measured;
    std::vector<nlohmann::json> rules;
    for (const std::vector<Bucket>& series : seriesOf(buckets)) {
      const Bucket& first = series.front();
      Measured where{.op = first.op,
                     .mode = first.mode,
                     .buffers = first.buffers,
                     .types = {},
                     .ranks = config().ranks};
      if (line_.perType && contractOf(first.op).hasData) where.types = {first.type};
      measured.push_back(coveredBy(where, series));
      for (nlohmann::json& rule : rulesOf(where, series)) rules.push_back(std::move(rule));
    }
    const std::string when =
        fmt::format("measured {} by ccbench {}", today(), std::string(version()));
    writeFile(line_.output, mergeInto(readIfThere(line_.output), machine(), when, measured, rules));
    return rules.size();
  }

  std::string header() const {
    if (line_.run.quiet) return {};
    return wrap("", fmt::format("ccbench {} tune: {}", version(), ranksText(config().ranks))) +
           labelled("machine", describe(machine_)) +
           labelled("measured",
                    "every candidate verified before it is timed; the fastest few and the built-in "
                    "plan in the same rounds, medians of the slowest rank; a plan replaces the "
                    "built-in one if the whole interval is above +2 %") +
           labelled("model", "what the cost model predicts of the chosen plan: not measured");
  }

  std::string footer(const std::vector<Bucket>& buckets, std::size_t rules) const {
    int candidates = 0, tried = 0, wrong = 0;
    for (const Bucket& b : buckets) {
      candidates += b.candidates;
      tried += b.measured;
      wrong += b.wrong;
    }
    std::string text = fmt::format("\n{} plans measured of {} that exist", tried, candidates);
    text += wrong > 0 ? fmt::format("; {} gave wrong results and are out\n", wrong) : "\n";
    return text + fmt::format(
                      "{} rule{} written to {}\nuse them: ccbench --tuning {}, or "
                      "LOCKSTEP_TUNING_FILE={}\n",
                      rules, rules == 1 ? "" : "s", line_.output, line_.output, line_.output);
  }

  TuneLine line_;
  const Machine& machine_;
};

}  // namespace

std::string tunedText(const std::vector<Bucket>& buckets) {
  std::string text;
  for (const std::vector<Bucket>& series : seriesOf(buckets)) {
    const Bucket& first = series.front();
    text += fmt::format("\n---- {} {}", name(first.op), name(first.mode));
    if (contractOf(first.op).hasData) text += fmt::format(" {}", name(first.type));
    text += fmt::format(", {} buffers ----\n", name(first.buffers)) + seriesText(series);
  }
  return text;
}

int runTune(const std::vector<std::string>& arguments, const Machine& machine) {
  // What is compared with is built in; and the file that is named may be the one to be written.
  unsetenv("LOCKSTEP_TUNING_FILE");
  TuneLine line = parseTuneLine(arguments, machine);
  if (!line.help.empty()) {
    print(line.help);
    return kSuccess;
  }
  requireStartedOnce();
  return Tuning(std::move(line), machine).run();
}

}  // namespace lockstep::bench
