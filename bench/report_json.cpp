// The report for programs, and writing it to a file.
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "base/fail.hpp"
#include "base/fd.hpp"
#include "bench/report.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;

json ratioJson(const Ratio& ratio) {
  return {{"ratio", ratio.value},
          {"percent", (ratio.value - 1) * 100},
          {"low", ratio.interval.low},
          {"high", ratio.interval.high}};
}

/// What follows from a series; beside it, so that no reader has to compute it again.
json derived(const Report& report, const RunResult& result, const Row& row, std::size_t c) {
  const Series& series = row.series[c];
  const Timing timing = timingOf(row, series, report.config.ranks);
  json j = {{"contender", result.contenders[c].name},
            {"timeUs", timing.p50},
            {"p50Us", timing.p50},
            {"p99Us", timing.p99},
            {"algbwGBs", timing.algbw},
            {"busbwGBs", timing.busbw}};
  if (c > 0) j["vsP2p"] = ratioJson(comparedWith(series, row.series.front()));
  if (result.contenders[c].sealed) {
    const Bound bound =
        boundOf(row, series, result.rates, report.config.ranks, report.config.cores);
    j["boundUs"] = {{"crypto", bound.crypto},
                    {"copies", bound.copies},
                    {"reduce", bound.reduce},
                    {"total", bound.total()}};
  }
  return j;
}

json runJson(const Report& report, const NamedRun& run) {
  json j = run.result;
  j["name"] = run.name;
  for (std::size_t r = 0; r < run.result.rows.size(); ++r)
    for (std::size_t c = 0; c < run.result.contenders.size(); ++c)
      if (!run.result.rows[r].series[c].samples.empty())
        j["rows"][r]["series"][c]["derived"] = derived(report, run.result, run.result.rows[r], c);
  return j;
}

/// A file beside `path` that becomes it.
std::string openBeside(const std::string& path, Fd& fd) {
  std::string name = path + ".XXXXXX";
  fd = Fd(mkostemp(name.data(), O_CLOEXEC));
  if (!fd) failErrno("cannot write {}", path);
  return name;
}

}  // namespace

json reportJson(const Report& report) {
  json runs = json::array();
  for (const NamedRun& run : report.runs) runs.push_back(runJson(report, run));
  return {{"schema", 1},
          {"tool", "ccbench"},
          {"version", version()},
          {"op", name(Collective::allReduce)},
          {"machine", report.machine},
          {"config", report.config},
          {"faults", report.faults},
          {"runs", std::move(runs)}};
}

void requireWritable(const std::string& path) {
  if (std::filesystem::is_directory(path))
    throw UsageError(fmt::format("--json {}: is a folder; name a file", path));
  // The file is replaced by renaming, which would replace a device or a pipe too.
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))
    throw UsageError(fmt::format("--json {}: is no ordinary file; name one", path));
  try {
    Fd fd;
    ::unlink(openBeside(path, fd).c_str());
  } catch (const Error& error) {
    throw UsageError(
        fmt::format("--json: {}; name a file in a folder that exists and may be "
                    "written",
                    error.what()));
  }
}

void writeFile(const std::string& path, const std::string& content) {
  Fd fd;
  const std::string temporary = openBeside(path, fd);
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = ::write(fd.get(), content.data() + written, content.size() - written);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    written += static_cast<std::size_t>(n);
  }
  ::fchmod(fd.get(), 0644);
  if (written == content.size() && ::rename(temporary.c_str(), path.c_str()) == 0) return;
  const int error = errno;
  ::unlink(temporary.c_str());
  errno = error;
  failErrno("cannot write {}", path);
}

}  // namespace lockstep::bench
