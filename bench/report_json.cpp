// The report for programs.
#include <nlohmann/json.hpp>

#include "bench/gpu_traffic.hpp"
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

json boundJson(const Bound& bound) {
  return {{"crypto", bound.crypto},
          {"copies", bound.copies},
          {"reduce", bound.reduce},
          {"total", bound.total()}};
}

/// What follows from a series; beside it, so that no reader has to compute it again.
json derived(const Report& report, const RunResult& result, const Row& row, std::size_t c) {
  const Series& series = row.series[c];
  const Timing timing = timingOf(row, series, report.config.ranks);
  json j = {{"contender", result.contenders[c].name},
            {"timeUs", timing.p50},
            {"p50Us", timing.p50},
            {"p99Us", timing.p99}};
  const bool hasData = contractOf(row.op).hasData;
  if (hasData) j.update({{"algbwGBs", timing.algbw}, {"busbwGBs", timing.busbw}});
  const std::size_t modes = report.config.modes.size();
  if (c >= modes && !result.contenders[c].rival)
    j["vsOrdinary"] = ratioJson(comparedWith(series, row.series[c - modes]));
  if (c > 0) j["vsP2p"] = ratioJson(comparedWith(series, row.series.front()));
  if (sharesOneGpu(report.config) && hasData && !result.contenders[c].rival) {
    const RunConfig& config = report.config;
    const Traffic traffic =
        trafficOf(row, series, config.modes[c % modes], config.ranks, config.root);
    j["memory"] = {{"readBytes", traffic.read},
                   {"writtenBytes", traffic.written},
                   {"boundUs", memoryBound(traffic, row.streaming.copy)}};
  }
  if (result.contenders[c].sealed && row.streaming.seal > 0) {
    const RunConfig& config = report.config;
    const Bound streaming = boundOf(row, series, row.streaming, config.ranks, config.cores);
    const Bound cached = boundOf(row, series, row.cached, config.ranks, config.cores);
    j["boundUs"] = boundJson(streaming);
    j["cachedBoundUs"] = boundJson(cached);
    if (streaming.crypto > 0) j["timeOverCrypto"] = timing.p50 / streaming.crypto;
    j["fasterThanStreaming"] = timing.p50 < streaming.total();
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

}  // namespace

json reportJson(const Report& report) {
  json runs = json::array();
  for (const NamedRun& run : report.runs) runs.push_back(runJson(report, run));
  json j = {{"schema", 3},
            {"tool", "ccbench"},
            {"version", version()},
            {"machine", report.machine},
            {"config", report.config},
            {"warnings", warnings(report)},
            {"faults", report.faults},
            {"complete", report.complete},
            {"runs", std::move(runs)}};
  if (report.gpus) j["gpus"] = *report.gpus;
  return j;
}

}  // namespace lockstep::bench
