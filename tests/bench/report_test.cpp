#include "bench/report.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "bench/bandwidth.hpp"
#include "bench/wrap.hpp"

namespace lockstep::bench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

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
  result.rates = {1e10, 1e10, 2e10};
  Row row{DataType::f32, Reduction::sum, 1000000, 250000, 5e10, {seriesOf(100), seriesOf(300)}};
  row.series[1].bytes = {2e6, 1e6, 1e6, 100};
  result.rows = {row};
  report.runs = {{"", result}};
  return report;
}

TEST(Bandwidth, FollowsNcclTests) {
  EXPECT_DOUBLE_EQ(algorithmBandwidth(1000000, 100), 10);
  EXPECT_DOUBLE_EQ(busFactor(Collective::allReduce, 2), 1);
  EXPECT_DOUBLE_EQ(busFactor(Collective::allReduce, 4), 1.5);
  EXPECT_DOUBLE_EQ(busFactor(Collective::allReduce, 1), 0);
}

TEST(Bound, IsTheSumOfItsPartsTimesTheTurns) {
  const Report report = sampleReport();
  const RunResult& result = report.runs[0].result;
  const Row& row = result.rows[0];
  const Bound bound = boundOf(row, row.series[1], result.rates, 2, 2);
  EXPECT_DOUBLE_EQ(bound.crypto, 200);  // 1 MB sealed and 1 MB opened at 10 GB/s
  EXPECT_DOUBLE_EQ(bound.copies, 100);  // 2 MB at 20 GB/s
  EXPECT_DOUBLE_EQ(bound.reduce, 20);   // 1 MB at 50 GB/s
  EXPECT_DOUBLE_EQ(boundOf(row, row.series[1], result.rates, 4, 2).crypto, 400);
  EXPECT_DOUBLE_EQ(boundOf(row, row.series[1], result.rates, 3, 2).crypto, 400);
}

TEST(ReportText, ShowsTimesRegressionAndReason) {
  const Report report = sampleReport();
  EXPECT_THAT(timesText(report), HasSubstr("#wrong"));
  EXPECT_THAT(timesText(report), HasSubstr("10.0"));  // GB/s of p2p
  EXPECT_THAT(regressionText(report), HasSubstr("+200"));
  EXPECT_THAT(regressionText(report), HasSubstr("107"));  // 320 of 300 us
  EXPECT_THAT(storyText(report), HasSubstr("200% more"));
  EXPECT_THAT(headerText(report), HasSubstr("host, emulated"));
  EXPECT_THAT(headerText(report), HasSubstr("two_shot simple"));
}

TEST(ReportText, LinesFitATerminal) {
  const Report report = sampleReport();
  std::istringstream lines(headerText(report) + timesText(report) + regressionText(report) +
                           storyText(report));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 160u) << line;
}

TEST(Wrap, BreaksBetweenWordsAndIndents) {
  const std::string word(50, 'x');
  EXPECT_EQ(wrap("ab ", word + ' ' + word + ' ' + word, 3),
            "ab " + word + ' ' + word + "\n   " + word + '\n');
  EXPECT_EQ(wrap("", std::string(200, 'y')), std::string(200, 'y') + '\n');
}

TEST(ReportText, RivalIsComparedInTheRunWhereItWasFaster) {
  Report report = sampleReport();
  report.config.rival = "mpi";
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
  EXPECT_THAT(text, testing::Not(HasSubstr("5.00")));
}

TEST(ReportJson, HasWhatItsReadersNeedAndReadsBack) {
  const Report report = sampleReport();
  const json j = json::parse(reportJson(report).dump());
  EXPECT_EQ(j.at("schema"), 1);
  EXPECT_EQ(j.at("runs").size(), 1u);
  const json& derived = j.at("runs")[0].at("rows")[0].at("series")[1].at("derived");
  EXPECT_DOUBLE_EQ(derived.at("timeUs"), 300);
  EXPECT_DOUBLE_EQ(derived.at("vsP2p").at("percent"), 200);
  EXPECT_DOUBLE_EQ(derived.at("boundUs").at("total"), 320);
  EXPECT_EQ(json(j.at("runs")[0].get<RunResult>()), json(report.runs[0].result));
  EXPECT_EQ(json(j.at("config").get<RunConfig>()), json(report.config));
}

}  // namespace
}  // namespace lockstep::bench
