#include "bench/report.hpp"

#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/bandwidth.hpp"
#include "bench/plans.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

Series seriesOf(double time) {
  Series series;
  series.plan = {"two_shot", "simple", "shared memory", 16384, 4};
  series.batch = 1;
  for (int i = 0; i < 20; ++i) series.samples.push_back(time);
  return series;
}

/// Two ranks on two cores: 1 MB in 100 us in the clear and 300 us sealed.
Report sampleReport() {
  Report report;
  report.machine.cpu = "Test CPU";
  report.machine.cores = 2;
  report.config.modes = {Mode::p2p, Mode::cc};
  report.config.cores = 2;
  RunResult result;
  result.contenders = {
      {"p2p", "Lockstep", "host", "none", "none", "slots", false, false},
      {"cc", "Lockstep", "host, emulated", "AES", "pre-shared key", "slots", true, false}};
  Row row{Operation::allReduce,
          DataType::f32,
          Reduction::sum,
          1000000,
          250000,
          {1e10, 1e10, 2e10, 5e10},
          {2e10, 2e10, 4e10, 1e11},
          {seriesOf(100), seriesOf(300)}};
  row.series[0].bytes = {1e6, 0, 0, 0};
  row.series[1].bytes = {2e6, 1e6, 1e6, 100};
  result.rows = {row};
  report.runs = {{"", result}};
  return report;
}

/// Four modes and numbers as wide as they get in a run of the default sizes.
Report wideReport() {
  Report report = sampleReport();
  report.config.modes = {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast};
  report.config.ranks = 4;
  RunResult& result = report.runs[0].result;
  Contender multicast = result.contenders[0], both = result.contenders[1];
  multicast.name = "multicast";
  both.name = "cc-multicast";
  result.contenders.insert(result.contenders.begin() + 1, multicast);
  result.contenders.push_back(both);
  Row& row = result.rows[0];
  row.bytes = std::size_t{64} << 20;
  row.count = row.bytes / 4;
  row.series = {seriesOf(23456), seriesOf(12345), seriesOf(123456), seriesOf(234567)};
  for (Series& series : row.series) series.samples.back() *= 2;
  for (std::size_t c : {2, 3}) row.series[c].bytes = {1e8 + 1, 1e8, 1e8, 1e4};
  result.rows.insert(result.rows.begin(), row);
  result.rows[0].bytes = 512 << 10;
  return report;
}

/// On one line, so that it can be searched whatever its breaks.
std::string flat(const std::string& text) {
  std::istringstream words(text);
  std::string line;
  for (std::string word; words >> word;) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::string flatStory(const Report& report) {
  return flat(storyText(report));
}

std::string allText(const Report& report) {
  return headerText(report) + warningText(report) + planText(report) + timesText(report) +
         bytesText(report) + regressionText(report) + rivalText(report) + storyText(report);
}

TEST(Bandwidth, FollowsNcclTests) {
  EXPECT_DOUBLE_EQ(algorithmBandwidth(1000000, 100), 10);
  EXPECT_DOUBLE_EQ(busFactor(Operation::allReduce, 2), 1);
  EXPECT_DOUBLE_EQ(busFactor(Operation::allReduce, 4), 1.5);
  EXPECT_DOUBLE_EQ(busFactor(Operation::allReduce, 1), 0);
  for (const Operation op : {Operation::allGather, Operation::reduceScatter, Operation::allToAll,
                             Operation::allToAllV, Operation::gather, Operation::scatter})
    EXPECT_DOUBLE_EQ(busFactor(op, 4), 0.75) << name(op);
  EXPECT_DOUBLE_EQ(busFactor(Operation::broadcast, 4), 1);
  EXPECT_DOUBLE_EQ(busFactor(Operation::sendRecv, 4), 1);
  EXPECT_DOUBLE_EQ(busFactor(Operation::reduce, 4), 1);
}

TEST(Bound, IsTheSumOfItsPartsTimesTheTurns) {
  const Report report = sampleReport();
  const Row& row = report.runs[0].result.rows[0];
  const Bound bound = boundOf(row, row.series[1], row.streaming, 2, 2);
  EXPECT_DOUBLE_EQ(bound.crypto, 200);  // 1 MB sealed and 1 MB opened at 10 GB/s
  EXPECT_DOUBLE_EQ(bound.copies, 100);  // 2 MB at 20 GB/s
  EXPECT_DOUBLE_EQ(bound.reduce, 20);   // 1 MB at 50 GB/s
  EXPECT_DOUBLE_EQ(boundOf(row, row.series[1], row.cached, 2, 2).total(), 160);
  EXPECT_DOUBLE_EQ(boundOf(row, row.series[1], row.streaming, 4, 2).crypto, 400);
  EXPECT_DOUBLE_EQ(boundOf(row, row.series[1], row.streaming, 3, 2).crypto, 400);
}

TEST(Bound, ReducesOnlyWhereTheOperationDoes) {
  Report report = sampleReport();
  Row& row = report.runs[0].result.rows[0];
  const auto reduced = [&](Operation op, const char* algorithm) {
    row.op = op;
    row.series[1].plan.algorithm = algorithm;
    return boundOf(row, row.series[1], row.streaming, 4, 4).reduce;
  };
  EXPECT_DOUBLE_EQ(reduced(Operation::allReduce, "two_shot"), 20);
  EXPECT_DOUBLE_EQ(reduced(Operation::allReduce, "one_shot"), 80);
  EXPECT_DOUBLE_EQ(reduced(Operation::reduceScatter, "direct"), 20);
  EXPECT_DOUBLE_EQ(reduced(Operation::reduce, "direct"), 80);
  EXPECT_DOUBLE_EQ(reduced(Operation::allGather, "direct"), 0);
}

/// While one rank seals 1 MB, another opens 3: 300 us at 10 GB/s, and as much again for no turns.
TEST(Bound, CountsTheBusierSideOfARoot) {
  Report report = sampleReport();
  Row& row = report.runs[0].result.rows[0];
  row.op = Operation::gather;
  row.series[1].bytes = {1e6, 1e6, 3e6, 100};
  const Bound bound = boundOf(row, row.series[1], row.streaming, 4, 2);
  EXPECT_DOUBLE_EQ(bound.crypto, 300);
  EXPECT_DOUBLE_EQ(bound.copies, 150);
  EXPECT_DOUBLE_EQ(bound.reduce, 0);
}

TEST(ReportText, SaysByHowMuchARunTookLongerThanItsBudget) {
  Report report = sampleReport();
  report.runs[0].result.seconds = report.config.budgetSeconds = 50;
  EXPECT_THAT(headerText(report), Not(HasSubstr("--time-budget")));
  report.runs.push_back(report.runs[0]);  // beside another setting of a rival
  EXPECT_THAT(flat(headerText(report)), HasSubstr("100 s, 50 more than --time-budget 50: each"));
  report.config.iterations = 5;  // asked for
  EXPECT_THAT(headerText(report), Not(HasSubstr("--time-budget")));
}

TEST(ReportText, ShowsTimesBytesRegressionAndReason) {
  const Report report = sampleReport();
  EXPECT_THAT(timesText(report), HasSubstr("#wrong"));
  EXPECT_THAT(timesText(report), HasSubstr("allreduce of f32, sum, 2 ranks"));
  EXPECT_THAT(timesText(report), HasSubstr("10.0"));  // GB/s of p2p
  EXPECT_THAT(bytesText(report), HasSubstr("1.9 MiB"));
  EXPECT_THAT(regressionText(report), HasSubstr("+200"));
  EXPECT_THAT(flatStory(report), HasSubstr("200% more"));
  EXPECT_THAT(flatStory(report), HasSubstr("medians of one run"));
  EXPECT_THAT(headerText(report), HasSubstr("host, emulated"));
  EXPECT_THAT(planText(report), HasSubstr("two_shot simple"));
}

/// 300 us are less than the 320 that streaming would take: no bound, and said to be none.
TEST(ReportText, MarksWhatIsFasterThanStreaming) {
  Report report = sampleReport();
  EXPECT_THAT(regressionText(report), HasSubstr("107*"));
  EXPECT_THAT(regressionText(report), ContainsRegex("160.0 +53"));
  EXPECT_THAT(regressionText(report), HasSubstr("*: faster than data can stream"));
  EXPECT_THAT(flatStory(report), HasSubstr("in the caches"));
  report.runs[0].result.rows[0].series[1] = seriesOf(400);
  EXPECT_THAT(regressionText(report), Not(HasSubstr("*")));
  EXPECT_THAT(flatStory(report), Not(HasSubstr("in the caches")));
}

/// Then nobody knows what the parts take, nor why something is faster than they are.
TEST(ReportText, SaysThatOtherWorkKeptTheCoresBusy) {
  Report report = sampleReport();
  report.runs[0].result.coreShare = 0.95;
  EXPECT_EQ(warningText(report), "");
  EXPECT_THAT(flatStory(report), HasSubstr("AES-GCM by itself"));
  report.runs[0].result.coreShare = 0.452;
  EXPECT_THAT(flat(warningText(report)), HasSubstr("kept the cores busy: a rank had one 45% of"));
  EXPECT_THAT(regressionText(report), HasSubstr("107*"));
  EXPECT_THAT(regressionText(report), HasSubstr("*: faster than data can stream."));
  EXPECT_THAT(flatStory(report), HasSubstr("200% more than p2p's 100 us."));
  EXPECT_EQ(reportJson(report).at("runs")[0].at("coreShare"), 0.452);
}

TEST(ReportText, NoiseIsNoSameness) {
  Report report = sampleReport();
  auto& series = report.runs[0].result.rows[0].series;
  series[1].samples = series[0].samples;
  EXPECT_THAT(flatStory(report), HasSubstr("no different from p2p's 100 us (95%: +0 to +0%)"));
  for (std::size_t i = 0; i < series[1].samples.size(); ++i)
    series[1].samples[i] = i % 2 == 0 ? 80 : 2300;
  EXPECT_THAT(
      flatStory(report),
      ContainsRegex("not surely different from p2p's 100 us: too noisy to tell .95%: -20 to "));
}

TEST(ReportText, TimesHaveTheirUnit) {
  EXPECT_EQ(timeText(0.2345), "0.234 us");
  EXPECT_EQ(timeText(77500), "77.5 ms");
  EXPECT_EQ(timeText(65e6), "65 s");
}

TEST(ReportText, SaysWhereTwoModesRanTheSamePlan) {
  Report report = wideReport();
  auto& rows = report.runs[0].result.rows;
  rows[1].series[0].plan.protocol = rows[1].series[1].plan.protocol = "zero_copy";
  EXPECT_THAT(regressionText(report), HasSubstr("as p2p: the same plan"));
  EXPECT_THAT(regressionText(report), HasSubstr("its own"));
  EXPECT_THAT(planText(report), HasSubstr("64 MiB: the very plan of p2p"));
  const std::string story = flatStory(report).substr(0, flatStory(report).find("What cc costs"));
  EXPECT_THAT(story, HasSubstr("At 512 KiB it takes"));
  EXPECT_THAT(story, Not(HasSubstr("At 64 MiB it takes")));
  EXPECT_THAT(story, HasSubstr("very plan of p2p"));
}

/// A barrier's row behind the all-reduce of the sample, and a rooted operation's.
Report reportOfThree() {
  Report report = sampleReport();
  report.config.ops = {Operation::allReduce, Operation::barrier, Operation::broadcast};
  auto& rows = report.runs[0].result.rows;
  Row barrier = rows[0], broadcast = rows[0];
  barrier.op = Operation::barrier;
  barrier.bytes = barrier.count = 0;
  barrier.series[1].bytes = {};
  broadcast.op = Operation::broadcast;
  broadcast.series[1].wrong = 3;
  rows.insert(rows.end(), {barrier, broadcast});
  return report;
}

TEST(ReportText, IsOneOperationAtATime) {
  const std::vector<Report> parts = byOperation(reportOfThree());
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_THAT(titleText(parts[2]), HasSubstr("broadcast"));
  EXPECT_THAT(timesText(parts[2]), HasSubstr("broadcast of f32, root 0, 2 ranks"));
  EXPECT_EQ(timesText(parts[0]), timesText(sampleReport()));
  for (const Report& part : parts) EXPECT_EQ(part.runs[0].result.rows.size(), 1u);
}

TEST(ReportText, BarriersHaveTimesOnly) {
  const Report barrier = byOperation(reportOfThree())[1];
  EXPECT_THAT(timesText(barrier), HasSubstr("barrier, 2 ranks"));
  for (const char* absent : {"size", "count", "busbw", "#wrong"})
    EXPECT_THAT(timesText(barrier), Not(HasSubstr(absent)));
  EXPECT_EQ(bytesText(barrier), "");
  EXPECT_THAT(regressionText(barrier), HasSubstr("+200"));
  EXPECT_THAT(regressionText(barrier), Not(HasSubstr("bound")));
  EXPECT_THAT(planText(barrier), Not(HasSubstr("0 B")));
  EXPECT_THAT(flatStory(barrier), HasSubstr("It takes 300 us, 200% more"));
}

TEST(ReportText, VerdictCountsWrongElementsByOperation) {
  const std::string text = verdictText(reportOfThree());
  EXPECT_THAT(text, ContainsRegex("allreduce .* 1 [|] +0 +0"));
  EXPECT_THAT(text, ContainsRegex("barrier +- +1 [|] +- +-"));
  EXPECT_THAT(text, ContainsRegex("broadcast .* 1 [|] +0 +3"));
}

TEST(ReportText, OneRankHasNothingToCompare) {
  Report report = sampleReport();
  report.config.ranks = 1;
  EXPECT_EQ(bytesText(report) + regressionText(report), "");
  EXPECT_THAT(flatStory(report), HasSubstr("nothing crosses"));
  EXPECT_THAT(headerText(report), HasSubstr("1 rank\n"));
  EXPECT_THAT(planText(report), Not(HasSubstr("two_shot")));
}

TEST(ReportText, NoDifferenceIsNotCalledOne) {
  Report report = sampleReport();
  for (std::size_t i = 0; i < 20; ++i) report.runs[0].result.rows[0].series[1].samples[i] = 95 + i;
  for (std::size_t i = 0; i < 20; ++i) report.runs[0].result.rows[0].series[0].samples[i] = 114 - i;
  EXPECT_THAT(flatStory(report), HasSubstr("no different from p2p's"));
}

TEST(ReportText, LinesFitATerminal) {
  for (Report report : {sampleReport(), wideReport()}) {
    report.config.insecureKeys = true;
    std::istringstream lines(allText(report));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(ReportText, TypesAndReductionsTakeLittleMore) {
  Report report = wideReport();
  report.config.types = {DataType::bf16, DataType::f32};
  report.config.reductions = {Reduction::sum, Reduction::prod};
  std::istringstream lines(allText(report));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 112u) << line;
}

TEST(ReportText, FewSamplesAreNotCompared) {
  Report report = sampleReport();
  for (Series& series : report.runs[0].result.rows[0].series) series.samples.resize(5);
  EXPECT_THAT(regressionText(report), ContainsRegex("[+]200 +- [|]"));
  EXPECT_THAT(flatStory(report), HasSubstr("too few samples"));
  EXPECT_TRUE(reportJson(report).dump().find("\"high\":null") != std::string::npos);
}

TEST(ReportText, WarningsAreInEveryOutput) {
  Report report = sampleReport();
  EXPECT_EQ(warningText(report), "");
  EXPECT_TRUE(reportJson(report).at("warnings").empty());
  report.config.insecureKeys = true;
  EXPECT_THAT(warningText(report), HasSubstr("WARNING"));
  EXPECT_EQ(reportJson(report).at("warnings").size(), 1u);
  report.config.modes = {Mode::p2p, Mode::multicast};  // no keys
  EXPECT_EQ(warningText(report), "");
}

TEST(ReportText, NamesEachOperationThatRunsSomethingElse) {
  Report report = reportOfThree();
  auto& rows = report.runs[0].result.rows;
  report.config.algorithm = "ring";
  for (Series& series : rows[0].series) series.plan.algorithm = "ring";
  ASSERT_EQ(warnings(report).size(), 2u);
  EXPECT_THAT(warnings(report)[0], HasSubstr("'ring' is forced, but barrier"));
  EXPECT_THAT(warnings(report)[1], HasSubstr("'ring' is forced, but broadcast"));
  report.config.algorithm.clear();
  report.config.protocol = "simple";
  EXPECT_TRUE(warnings(report).empty());
}

TEST(ReportText, SaysThatAThresholdIsMeasured) {
  Report report = sampleReport();
  Row& row = report.runs[0].result.rows[0];
  for (Contender& c : report.runs[0].result.contenders) c.ordinaryPath = "process_vm_readv";
  EXPECT_THAT(planText(report), Not(HasSubstr("measured")));
  row.series[0].plan.protocol = "zero_copy";
  EXPECT_THAT(flat(planText(report)), HasSubstr("measured in each run"));
  EXPECT_THAT(flat(explainText(report)), HasSubstr("when it is created"));
  for (const auto& decide : std::vector<std::function<void(RunConfig&)>>{
           [](RunConfig& c) { c.registered = true; },
           [](RunConfig& c) { c.protocol = "zero_copy"; },
           [](RunConfig& c) { c.tuningFile = "rules.json"; }}) {
    Report decided = report;
    decide(decided.config);
    EXPECT_THAT(flat(explainText(decided)), Not(HasSubstr("measured")));
  }
}

TEST(ReportText, ClaimsNoVerificationOfABarrier) {
  const std::vector<Report> parts = byOperation(reportOfThree());
  EXPECT_THAT(headerText(parts[0]), HasSubstr("every element verified"));
  EXPECT_THAT(headerText(parts[1]), Not(HasSubstr("verified")));
  EXPECT_THAT(headerText(parts[1]), Not(HasSubstr("buffers")));
  EXPECT_THAT(verdictText(parts[1]), Not(HasSubstr("Verified")));
}

TEST(ReportText, ShortStoryIsOfTheLargestMessage) {
  const std::string text = shortStoryText(wideReport());
  EXPECT_THAT(text, HasSubstr("cc: At 64 MiB it takes"));
  EXPECT_THAT(text, Not(HasSubstr("512 KiB it takes")));
}

TEST(ReportText, ExplainsWhatOccursAndNothingElse) {
  Report report = sampleReport();
  EXPECT_THAT(explainText(report), Not(HasSubstr("predicted")));
  EXPECT_THAT(explainText(report), Not(HasSubstr("by size")));
  Row& row = report.runs[0].result.rows[0];
  row.series[0].predictedUs = row.series[1].predictedUs = 77500;
  EXPECT_THAT(flat(explainText(report)), HasSubstr("predicted 77.5 ms"));
  EXPECT_THAT(flat(explainText(report)), HasSubstr("predicted by the cost model"));
  row.series[0].plan = {"transfers", "by size", "shared memory", 0, 1};
  EXPECT_THAT(flat(explainText(report)), HasSubstr("transfers sends and receives"));
  EXPECT_THAT(flat(explainText(report)), HasSubstr("by size short payloads"));
}

/// One setting of a rival was done, another had begun.
TEST(ReportText, ShowsWhatWasDoneWhenARunEndedEarly) {
  Report report = reportOfThree();
  report.runs.push_back(report.runs[0]);
  report.runs[1].result.rows.resize(1);
  EXPECT_EQ(reportJson(report).at("complete"), true);
  report.complete = false;
  EXPECT_THAT(warningText(report), HasSubstr("incomplete: the run ended early"));
  EXPECT_EQ(reportJson(report).at("complete"), false);
  const Report shown = comparablePart(report);
  EXPECT_EQ(shown.config.ops, std::vector{Operation::allReduce});
  for (const NamedRun& run : shown.runs) EXPECT_EQ(run.result.rows.size(), 1u);
  EXPECT_EQ(comparablePart(reportOfThree()).config.ops.size(), 3u);
}

TEST(Wrap, BreaksBetweenWordsAndIndents) {
  const std::string word(40, 'x');
  EXPECT_EQ(wrap("ab ", word + ' ' + word + ' ' + word, 3),
            "ab " + word + ' ' + word + "\n   " + word + '\n');
  EXPECT_EQ(wrap("", std::string(200, 'y')), std::string(200, 'y') + '\n');
}

TEST(Wrap, KeepsUnitsWithTheirNumbers) {
  EXPECT_EQ(wrap("", std::string(95, 'x') + " 64 MiB, yes"),
            std::string(95, 'x') + "\n64 MiB, yes\n");
  EXPECT_EQ(wrap("", "64 MiB"), "64 MiB\n");
}

TEST(ReportText, RivalIsComparedInTheRunWhereItWasFaster) {
  Report report = sampleReport();
  report.config.rivals = {"mpi"};
  report.runs[0].name = "mpi default";
  report.runs[0].result.contenders.push_back(
      {"mpi", "Open MPI 4", "host", "none", "none", "", false, true});
  report.runs[0].result.rows[0].series.push_back(seriesOf(500));
  report.runs.push_back(report.runs[0]);
  report.runs[1].name = "mpi ucx-sysv";
  report.runs[1].result.rows[0].series[2] = seriesOf(250);
  const std::string text = rivalText(report);
  EXPECT_THAT(text, HasSubstr("mpi ucx-sysv"));
  EXPECT_THAT(text, HasSubstr("2.50"));  // 250 over 100
  EXPECT_THAT(text, Not(HasSubstr("5.00")));
  EXPECT_THAT(regressionText(report), HasSubstr("run beside mpi default"));
  EXPECT_THAT(flatStory(report), HasSubstr("medians of the run beside mpi default"));
}

TEST(ReportText, WhatARivalLacksIsSaid) {
  Report report = sampleReport();
  report.config.rivals = {"mpi"};
  report.runs[0].result.contenders.push_back(
      {"mpi", "Open MPI 4", "host", "none", "none", "", false, true});
  report.runs[0].result.rows[0].series.push_back(seriesOf(500));
  constexpr const char* kLacks = "-: mpi has no such collective, type to reduce or reduction";
  EXPECT_THAT(rivalText(report), Not(HasSubstr(kLacks)));
  report.runs[0].result.rows[0].series.back() = Series();
  report.runs[0].result.rows[0].series.back().supported = false;
  EXPECT_THAT(rivalText(report), HasSubstr(kLacks));
}

TEST(ReportText, EveryRivalHasItsTable) {
  Report report = sampleReport();
  report.config.rivals = {"mpi", "gloo"};
  const NamedRun plain = report.runs[0];
  report.runs.clear();
  for (const auto& [setting, rival, describe, time] :
       {std::tuple("mpi default", "mpi", "Open MPI 4", 200.0),
        std::tuple("mpi ucx-sysv", "mpi", "Open MPI 4", 150.0),
        std::tuple("gloo", "gloo", "Gloo 0.5", 700.0)}) {
    NamedRun& run = report.runs.emplace_back(plain);
    run.name = setting;
    run.result.contenders.push_back({rival, describe, "host", "none", "none", "", false, true});
    run.result.rows[0].series.push_back(seriesOf(time));
  }
  const std::string text = rivalText(report);
  const std::size_t second = text.find("Lockstep beside Gloo 0.5");
  ASSERT_NE(second, std::string::npos);
  const std::string mpi = text.substr(0, second), gloo = text.substr(second);
  EXPECT_THAT(mpi, HasSubstr("1.50"));
  EXPECT_THAT(gloo, HasSubstr("7.00"));
  EXPECT_THAT(gloo, Not(HasSubstr("mpi")));
  EXPECT_THAT(headerText(report), ContainsRegex("rival +mpi.*\n +rival +gloo"));
}

TEST(ReportJson, HasWhatItsReadersNeedAndReadsBack) {
  Report report = sampleReport();
  report.runs[0].result.seconds = 12;
  report.runs[0].result.coreShare = 0.95;
  const json j = json::parse(reportJson(report).dump());
  EXPECT_EQ(j.at("schema"), 3);
  EXPECT_EQ(j.at("runs")[0].at("rows")[0].at("op"), "allreduce");
  EXPECT_EQ(j.at("runs").size(), 1u);
  const json& derived = j.at("runs")[0].at("rows")[0].at("series")[1].at("derived");
  EXPECT_DOUBLE_EQ(derived.at("timeUs"), 300);
  EXPECT_DOUBLE_EQ(derived.at("vsP2p").at("percent"), 200);
  EXPECT_DOUBLE_EQ(derived.at("boundUs").at("total"), 320);
  EXPECT_DOUBLE_EQ(derived.at("cachedBoundUs").at("total"), 160);
  EXPECT_DOUBLE_EQ(derived.at("timeOverCrypto"), 1.5);
  EXPECT_TRUE(derived.at("fasterThanStreaming"));
  EXPECT_EQ(json(j.at("runs")[0].get<RunResult>()), json(report.runs[0].result));
  const json three = reportJson(reportOfThree()).at("runs")[0];
  EXPECT_EQ(three.at("rows")[0].at("reduction"), "sum");
  EXPECT_TRUE(three.at("rows")[1].at("type").is_null());
  EXPECT_EQ(three.at("rows")[2].at("type"), "f32");
  EXPECT_TRUE(three.at("rows")[2].at("reduction").is_null());
  EXPECT_EQ(json(three.get<RunResult>()), json(reportOfThree().runs[0].result));
  EXPECT_EQ(json(j.at("config").get<RunConfig>()), json(report.config));
}

}  // namespace
}  // namespace lockstep::bench
