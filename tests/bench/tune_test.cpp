// Tuning without measuring: what is chosen, which rules that makes, and what a file becomes.
#include "bench/tune.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "bench/tune_choice.hpp"
#include "bench/tune_file.hpp"
#include "bench/tune_model.hpp"
#include "bench/tune_options.hpp"
#include <lockstep/communicator.hpp>

namespace lockstep::bench {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr std::size_t KiB = 1024;

// ---- choosing ----

/// Around `microseconds`, within half a percent.
std::vector<double> samplesOf(double microseconds) {
  std::vector<double> samples;
  for (int i = 0; i < 40; ++i) samples.push_back(microseconds * (1 + 0.001 * (i % 7 - 3)));
  return samples;
}

TEST(TuneChoice, TheBuiltInPlanStaysUnlessAnotherIsSurelyFaster) {
  EXPECT_EQ(choose({{samplesOf(10), samplesOf(9.9)}, 0, -1}), 0u);
  EXPECT_EQ(choose({{samplesOf(10), samplesOf(9)}, 0, -1}), 1u);
  EXPECT_EQ(choose({{samplesOf(9), samplesOf(8), samplesOf(10)}, 2, -1}), 1u);
  // Faster, but by how much? Something else is going on.
  std::vector<double> disturbed;
  for (int i = 0; i < 40; ++i) disturbed.push_back(i < 20 ? 11 : 110);
  EXPECT_EQ(choose({{disturbed, samplesOf(10)}, 0, -1}), 0u);
  // Too few samples to be sure of anything.
  EXPECT_EQ(choose({{{10, 10, 10}, {5, 5, 5}}, 0, -1}), 0u);
}

TEST(TuneChoice, NeighboursShareAPlanWhereNoneIsSurelyFaster) {
  EXPECT_EQ(choose({{samplesOf(10), samplesOf(8), samplesOf(8.1)}, 0, 2}), 2u);
  EXPECT_EQ(choose({{samplesOf(10), samplesOf(8), samplesOf(9)}, 0, 2}), 1u);
  EXPECT_EQ(choose({{samplesOf(10), samplesOf(9.75), samplesOf(9.9)}, 0, 2}), 1u);
}

// ---- rules ----

const TunedPlan kUsual{"two_shot", "simple", 64 * KiB, 4}, kRing{"ring", "simple", 16 * KiB, 2},
    kExposed{"one_shot", "zero_copy", 0, 1};

Bucket bucket(std::size_t bytes, const TunedPlan& chosen) {
  Bucket b;
  b.mode = Mode::cc;
  b.bytes = b.blockBytes = bytes;
  b.builtIn = kUsual;
  b.chosen = chosen;
  return b;
}

Measured where() {
  Measured m;
  m.mode = Mode::cc;
  return m;
}

TEST(TuneRules, NeighboursWithOnePlanAreOneRuleAndBuiltInOnesAreNone) {
  const auto rules = rulesOf(where(), {bucket(8, kUsual), bucket(32, kRing), bucket(128, kRing),
                                       bucket(512, kUsual), bucket(2048, kExposed)});
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].at("algorithm"), "ring");
  EXPECT_EQ(rules[0].at("min_bytes"), 17u);
  EXPECT_EQ(rules[0].at("max_bytes"), 256u);
  EXPECT_EQ(rules[0].at("tile_bytes"), 16 * KiB);
  EXPECT_EQ(rules[1].at("min_bytes"), 1025u);
  EXPECT_EQ(rules[1].at("max_bytes"), 2048u);
  EXPECT_FALSE(rules[1].contains("tile_bytes"));
  EXPECT_FALSE(rules[1].contains("types"));
}

TEST(TuneRules, WhatIsSmallerThanTheSmallestIsLikeIt) {
  EXPECT_EQ(rulesOf(where(), {bucket(8, kRing)})[0].at("min_bytes"), 0u);
  EXPECT_EQ(rulesOf(where(), {bucket(4096, kRing)})[0].at("min_bytes"), 4096u);
}

TEST(TuneRules, AMergedFileForgetsWhatWasMeasuredAgain) {
  const auto rules = rulesOf(where(), {bucket(8, kRing), bucket(64 * KiB, kRing)});
  const std::string first = mergeInto("", "here", "then", {}, rules);
  // Between 1 and 4 KiB the built-in plan is best by now: the old rule has a hole.
  Measured again = where();
  again.minBytes = 1 * KiB;
  again.maxBytes = 4 * KiB;
  const json file = json::parse(mergeInto(first, "here", "now", {again}, {}));
  ASSERT_EQ(file.at("tables").size(), 1u);
  EXPECT_EQ(file.at("tables")[0].at("measured"), "now");
  const json& left = file.at("tables")[0].at("rules");
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].at("max_bytes"), 1 * KiB - 1);
  EXPECT_EQ(left[1].at("min_bytes"), 4 * KiB + 1);
  EXPECT_EQ(left[1].at("max_bytes"), 64 * KiB);
  // Other calls' rules, and other machines' tables, stay.
  again.op = Operation::allGather;
  const json others = json::parse(mergeInto(first, "elsewhere", "now", {again}, {}));
  ASSERT_EQ(others.at("tables").size(), 2u);
  EXPECT_EQ(others.at("tables")[1].at("rules").size(), 1u);
  EXPECT_THROW(mergeInto("{\"version\": 1, \"rules\": []}", "here", "", {}, {}), Error);
  EXPECT_THROW(mergeInto("nonsense", "here", "", {}, {}), Error);
}

TEST(TuneRules, TheLibraryRunsWhatTheFileSays) {
  const std::string path = testing::TempDir() + std::to_string(getpid()) + ".tuning.json";
  Measured half = where();
  half.types = {DataType::f16};
  auto rules = rulesOf(where(), {bucket(64, kUsual), bucket(16 * KiB, kRing)});
  for (json& rule : rulesOf(half, {bucket(64, kRing)})) rules.push_back(rule);
  Options options;
  options.mode = Mode::cc;
  options.insecureKeys = true;
  options.tuningFile = path;
  const auto planOf = [&](const std::string& machine, std::size_t bytes, DataType type) {
    std::ofstream(path) << mergeInto("", machine, "measured today", {}, rules);
    return Communicator::createInProcess(2, options)
        .front()
        .plan(Collective::allReduce, bytes / sizeOf(type), type, false);
  };
  const Plan tuned = planOf(machine(), 16 * KiB, DataType::f32);
  EXPECT_EQ((TunedPlan{tuned.algorithm, tuned.protocol, tuned.tileBytes, tuned.depth}), kRing);
  EXPECT_EQ(tuned.reason, "rule 1 of " + path + "; measured today");
  EXPECT_EQ(planOf(machine(), 64, DataType::f16).algorithm, "ring");
  EXPECT_NE(planOf(machine(), 64, DataType::f32).algorithm, "ring");
  const Plan other = planOf("another machine", 16 * KiB, DataType::f32);
  EXPECT_NE(other.algorithm, "ring");
  EXPECT_EQ(other.reason, "built-in rule; " + path + " has no table for this machine");
  std::filesystem::remove(path);
}

// ---- candidates ----

TEST(TuneModel, EveryAlgorithmThatCanRunIsACandidateOnce) {
  const schedule::Speeds speeds;
  for (std::size_t c = 0; c < kCollectives; ++c)
    for (const Mode mode : {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast})
      for (const std::size_t bytes : {std::size_t{0}, std::size_t{8}, 64 * KiB, 16384 * KiB}) {
        const Question question{.op = static_cast<Collective>(c),
                                .mode = mode,
                                .ranks = 3,
                                .root = 0,
                                .blockBytes = bytes,
                                .inPlace = true,
                                .attachable = false};
        SCOPED_TRACE(std::string(name(question.op)) + " " + std::string(name(mode)));
        const auto all = listCandidates(question, speeds);
        ASSERT_FALSE(all.empty());
        for (std::size_t i = 0; i < all.size(); ++i) {
          EXPECT_FALSE(isSealed(mode) && all[i].plan.protocol == "zero_copy");
          EXPECT_GE(all[i].predicted, i == 0 ? 0 : all[i - 1].predicted);
          EXPECT_DOUBLE_EQ(all[i].predicted, predictSeconds(question, all[i].plan, speeds));
          for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(all[i].plan == all[j].plan);
        }
        const auto firsts = firstOfEach(all);
        EXPECT_EQ(firsts.front().plan, all.front().plan);
        for (const Candidate& candidate : firsts)
          EXPECT_LE(candidate.predicted, kHopeless * all.front().predicted);
      }
  EXPECT_EQ(predictSeconds({}, {"no such", "simple", 1, 1}, speeds), 0);
}

// ---- command line and table ----

TuneLine parse(const std::vector<std::string>& arguments) {
  Machine machine;
  machine.cores = 2;
  return parseTuneLine(arguments, machine);
}

TEST(TuneOptions, TakesItsOwnAndThoseOfCcbench) {
  const TuneLine line = parse({"--op", "allgather", "--mode", "all", "--ranks", "3", "--output",
                               "file", "-b", "1K", "--registered", "0", "-d", "f16,f64"});
  const RunConfig& c = line.run.config;
  EXPECT_THAT(c.modes, testing::ElementsAre(Mode::p2p, Mode::p2p, Mode::multicast, Mode::cc,
                                            Mode::ccMulticast));
  EXPECT_THAT(c.ops, testing::ElementsAre(Operation::allGather));
  EXPECT_EQ(c.sizes.minBytes, KiB);
  EXPECT_EQ(c.sizes.stepFactor, 4u);
  EXPECT_EQ(c.tune, "ordinary");
  EXPECT_EQ(line.output, "file");
  EXPECT_TRUE(line.perType);
  EXPECT_THAT(parse({"--output", "f"}).run.config.modes, testing::ElementsAre(Mode::p2p, Mode::cc));
  EXPECT_THAT(parse({"--output", "f", "--mode", "p2p"}).run.config.modes,
              testing::ElementsAre(Mode::p2p, Mode::p2p));
  EXPECT_LE(parse({"--output", "f", "--mode", "p2p"}).run.config.budgetSeconds, 60);
  EXPECT_FALSE(parse({"--output", "f"}).perType);
  EXPECT_THAT(parse({"--help"}).help, HasSubstr("--output"));
}

TEST(TuneOptions, RefusesWhatMakesNoSense) {
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"--registered", "2"},
                                              {"--ranks", "1"},
                                              {"--algo", "ring"},
                                              {"--explain"},
                                              {"--check", "0"},
                                              {"--check-only"},
                                              {"--tuning", "file"},
                                              {"--time-budget", "0"},
                                              {"--time-budget", "x"},
                                              {"--nonsense"},
                                              {"-f", "1"},
                                              {"--redop", "sum,max"},
                                              {"--redop", "premulsum"},
        {"--op", "sendrecv"}})
    EXPECT_THROW(parse(bad), UsageError) << bad.front();
}

TEST(TunedText, FitsATerminalAndKeepsPredictionsApart) {
  Bucket won = bucket(16384 * KiB, {"halving_doubling", "simple", 256 * KiB, 8});
  won.builtIn = {"two_shot", "simple", 128 * KiB, 4};
  won.builtInUs = 12345.6;
  won.chosenUs = 10000;
  won.speedup = 1.2346;
  won.low = 1.2;
  won.high = 1.25;
  won.chosenPredictedUs = 777.7;
  const std::string text = tunedText({bucket(8, kUsual), won});
  for (const char* part :
       {"stays", "halving_doubling simple 8x256K", "+23", "20..25", "model", "778"})
    EXPECT_THAT(text, HasSubstr(part));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(TuneResult, SurvivesTheWayFromTheRanks) {
  Bucket b = bucket(64, kRing);
  b.buffers = BufferKind::registered;
  b.type = DataType::bf16;
  b.speedup = 1.5;
  b.measured = 7;
  EXPECT_EQ(json(b).get<Bucket>(), b);
}

}  // namespace
}  // namespace lockstep::bench
