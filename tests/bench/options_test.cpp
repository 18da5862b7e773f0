#include "bench/options.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lockstep::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Machine machineWith(int cores) {
  Machine machine;
  machine.cores = cores;
  return machine;
}

CommandLine parse(const std::vector<std::string>& arguments, int cores = 8) {
  return parseCommandLine(arguments, machineWith(cores));
}

TEST(Options, DefaultsShowCcBesideP2pOnAllCores) {
  const CommandLine line = parse({});
  EXPECT_EQ(line.action, Action::run);
  EXPECT_THAT(line.config.modes, ElementsAre(Mode::p2p, Mode::cc));
  EXPECT_EQ(line.config.ranks, 8);
  EXPECT_EQ(line.config.sizes.minBytes, 8u);
  EXPECT_EQ(line.config.sizes.maxBytes, std::size_t{64} << 20);
  EXPECT_EQ(line.config.sizes.stepFactor, 2u);
  EXPECT_EQ(line.config.iterations, 0);
  EXPECT_TRUE(line.config.check);
  EXPECT_FALSE(line.config.registered);
  EXPECT_FALSE(line.config.checkOnly);
  EXPECT_THAT(line.config.ops, ElementsAre(Operation::allReduce));
  EXPECT_EQ(line.config.root, 0);
}

TEST(Options, RanksFollowTheMachineAndTheMode) {
  EXPECT_EQ(parse({}, 1).config.ranks, 2);
  EXPECT_EQ(parse({}, 192).config.ranks, 64);
  EXPECT_EQ(parse({"--mode", "all"}, 2).config.ranks, 4);
  EXPECT_EQ(parse({"--mode", "all", "--ranks", "3"}, 2).config.ranks, 3);
}

TEST(Options, GpusHaveTheirOwnSettings) {
  EXPECT_FALSE(parse({}).config.gpu);
  const RunConfig c = parse({"--device", "gpu", "--gpus", "2", "--graph", "1"}).config;
  EXPECT_TRUE(c.gpu);
  EXPECT_EQ(c.gpus, 2);
  EXPECT_TRUE(c.graph);
  EXPECT_EQ(c.ranks, 2);
  EXPECT_FALSE(ranksShareGpus(c));
  EXPECT_TRUE(ranksShareGpus(parse({"--device", "gpu", "--gpus", "2", "--ranks", "3"}).config));
  EXPECT_EQ(parse({"--device", "gpu", "--mode", "all"}).config.ranks, 4);
}

TEST(Options, WhatIsOfOneDeviceOnlyIsRefusedOnTheOther) {
  const std::vector<std::vector<std::string>> mistakes{{"--device", "tpu"},
                                                       {"--gpus", "1"},
                                                       {"--graph", "0"},
                                                       {"--launch", "streams"},
                                                       {"--device", "gpu", "--launch", "rockets"},
                                                       {"--baseline", "nccl"},
                                                       {"--device", "gpu", "--baseline", "mpi"},
                                                       {"--device", "gpu", "--cipher", "openssl"},
                                                       {"--device", "gpu", "--graph", "2"}};
  for (const auto& arguments : mistakes) EXPECT_THROW(parse(arguments), UsageError);
}

TEST(Options, P2pAloneIsNotRepeated) {
  EXPECT_THAT(parse({"--mode", "p2p"}).config.modes, ElementsAre(Mode::p2p));
  EXPECT_THAT(parse({"--mode", "all"}).config.modes,
              ElementsAre(Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast));
}

TEST(Options, MeanWhatNcclTestsMean) {
  const RunConfig c = parse({"-b", "1K", "-e", "4MiB", "-f", "4", "-n", "20", "-w", "3", "-d",
                             "bf16,f64", "-o", "max", "-c", "0"})
                          .config;
  EXPECT_EQ(c.sizes.minBytes, 1024u);
  EXPECT_EQ(c.sizes.maxBytes, std::size_t{4} << 20);
  EXPECT_EQ(c.sizes.stepFactor, 4u);
  EXPECT_EQ(c.iterations, 20);
  EXPECT_EQ(c.warmups, 3);
  EXPECT_THAT(c.types, ElementsAre(DataType::bf16, DataType::f64));
  EXPECT_THAT(c.reductions, ElementsAre(Reduction::max));
  EXPECT_FALSE(c.check);
  EXPECT_EQ(parse({"-b", "8", "-e", "32", "-i", "8"}).config.sizes.stepBytes, 8u);
  EXPECT_EQ(parse({"-d", "all", "-o", "all"}).config.types.size(), kDataTypes);
}

TEST(Options, OperationsAreAListOrAll) {
  EXPECT_THAT(parse({"--op", "scatter,barrier,scatter"}).config.ops,
              ElementsAre(Operation::scatter, Operation::barrier));
  EXPECT_EQ(parse({"--op", "all"}).config.ops.size(), kOperations);
  EXPECT_EQ(parse({"--op", "reduce", "-r", "2", "--ranks", "3"}).config.root, 2);
  EXPECT_EQ(parse({"--op", "barrier,all"}).config.ops.size(), kOperations);
  EXPECT_EQ(parse({"--op", "barrier,all"}).config.ops.front(), Operation::barrier);
  EXPECT_TRUE(parse({"--check-only"}).config.checkOnly);
}

TEST(Options, RivalsAreAList) {
  EXPECT_TRUE(parse({}).config.rivals.empty());
  EXPECT_THAT(parse({"--baseline", "gloo"}).config.rivals, ElementsAre("gloo"));
  EXPECT_THAT(parse({"--baseline", "mpi,gloo,mpi"}).config.rivals, ElementsAre("mpi", "gloo"));
}

TEST(Options, EachModeMayBeMeasuredTwice) {
  EXPECT_THAT(parse({}).config.reproducible, ElementsAre(false));
  EXPECT_THAT(parse({"--reproducible", "1"}).config.reproducible, ElementsAre(true));
  const auto variants = variantsOf(parse({"--mode", "cc", "--reproducible", "both"}).config);
  ASSERT_EQ(variants.size(), 4u);  // p2p, cc, and both again
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(variants[i].mode, i % 2 == 0 ? Mode::p2p : Mode::cc);
    EXPECT_EQ(communicatorOptions({}, variants[i], {}).reproducible, i >= 2);
  }
}

TEST(Options, HelpFitsATerminal) {
  std::istringstream lines(parse({"--help"}).help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(Options, HelpNamesEveryOperation) {
  const std::string help = parse({"--help"}).help;
  for (std::size_t op = 0; op < kOperations; ++op)
    EXPECT_THAT(help, HasSubstr(name(static_cast<Operation>(op))));
}

TEST(Options, ActionsThatMeasureNothing) {
  EXPECT_EQ(parse({"--help"}).action, Action::help);
  EXPECT_THAT(parse({"--help"}).help, HasSubstr("--baseline"));
  EXPECT_EQ(parse({"--version"}).action, Action::version);
  EXPECT_EQ(parse({"--settings"}).action, Action::settings);
  EXPECT_EQ(parse({"--explain"}).action, Action::explain);
  EXPECT_TRUE(parse({"--explain"}).config.planOnly);
}

/// Each bad value is refused with words that say what is accepted.
TEST(Options, BadValuesSayWhatIsAccepted) {
  struct Case {
    std::vector<std::string> arguments;
    std::string says;
  };
  const Case cases[] = {
      {{"--mode", "fast"}, "p2p, multicast, cc, cc-multicast"},
      {{"--op", "sendreceive"}, "there are allreduce, barrier, allgather"},
      {{"--op", "allgather", "--ranks", "4", "-e", "8"}, "per block of allgather (16 bytes)"},
      {{"--root", "8"}, "--root is from 0 to 7"},
      {{"-r", "-1"}, "--root"},
      {{"-r", "1"}, "no operation of this run has one"},
      {{"--op", "allreduce,"}, "comma too many"},
      {{"--op", ",allreduce"}, "comma too many"},
      {{"--op", "all,everything"}, "'everything' is unknown"},
      {{"--check-only", "-c", "0"}, "exclude"},
      {{"-d", "f8"}, "f16, bf16, f32"},
      {{"-d", "f32,f8"}, "f16, bf16, f32"},
      {{"-o", "xor"}, "sum, prod, min, max, avg"},
      {{"--ranks", "65"}, "from 1 to 64"},
      {{"--ranks", "-1"}, "from 1 to 64"},
      {{"--ranks", "0"}, "from 1 to 64"},
      {{"--ranks", "two"}, "--ranks"},
      {{"-b", "8Q"}, "not a size"},
      {{"-b", "1M", "-e", "8"}, "above"},
      {{"-b", "0"}, "at least 1"},
      {{"-e", "2T"}, "1 TiB"},
      {{"-f", "1"}, "--stepfactor"},
      {{"-f", "0"}, "--stepfactor: takes a whole number from 2 to 1048576, not '0'"},
      {{"-f", "1.5"}, "whole number from 2 to 1048576, not '1.5'"},
      {{"-i", "0"}, "--stepbytes"},
      {{"-i", "1"}, "sizes"},
      {{"-i", "8", "-f", "2"}, "exclude"},
      {{"-n", "-5"}, "--iters"},
      {{"-c", "2"}, "0 or 1"},
      {{"--registered", "yes"}, "--registered is 0 or 1, not yes"},
      {{"--device", "gpu", "--graph", "yes"}, "--graph is 0 or 1, not yes"},
      {{"--reproducible", "2"}, "0, 1 or both"},
      {{"--timeout", "0"}, "--timeout"},
      {{"--time-budget", "nan"}, "--time-budget: takes a number from 0.1 to 86400, not 'nan'"},
      {{"--time-budget", "abc"}, "number from 0.1 to 86400, not 'abc'"},
      {{"--explain", "--check-only"}, "exclude each other"},
      {{"--explain", "--baseline", "gloo"}, "exclude each other"},
      {{"--baseline", "ucc"}, "there are mpi, gloo, nccl"},
      {{"--baseline", "mpi,"}, "comma too many"},
      {{"-d", "f64", "-b", "1", "-e", "4"}, "f64"},
      {{"--psk", "x", "--insecure-keys"}, "exclude"},
      {{"--json", ""}, "--json is given an empty value"},
      {{"--tuning", ""}, "--tuning is given an empty value"},
      {{"--psk="}, "--psk"},
      {{"--algo", ""}, "--algo is given an empty value"},
      {{"-i", ""}, "--stepbytes is given an empty value"},
      {{"--frobnicate"}, "--help"},
      {{"stray"}, "--help"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(testing::PrintToString(c.arguments));
    try {
      parse(c.arguments);
      ADD_FAILURE() << "accepted";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr(c.says));
    }
  }
}

TEST(Options, ConfigSurvivesTheWayToTheRanks) {
  const RunConfig sent =
      parse({"--mode", "all", "-d", "f16,u64", "-o", "avg", "--algo", "ring", "--registered", "1",
             "--timeout", "2.5", "-n", "7", "--op", "reduce,barrier", "-r", "3", "--check-only"})
          .config;
  const auto received = nlohmann::json::parse(nlohmann::json(sent).dump()).get<RunConfig>();
  EXPECT_EQ(nlohmann::json(received), nlohmann::json(sent));
  EXPECT_EQ(received.algorithm, "ring");
  EXPECT_EQ(received.modes, sent.modes);
  EXPECT_EQ(received.timeoutSeconds, 2.5);
}

TEST(Options, KeysGoToSealedModesOnly) {
  const std::vector<std::byte> key(32);
  RunConfig config;
  EXPECT_TRUE(communicatorOptions(config, {Mode::p2p}, key).psk.empty());
  EXPECT_EQ(communicatorOptions(config, {Mode::cc}, key).psk.size(), 32u);
  config.insecureKeys = true;
  EXPECT_TRUE(communicatorOptions(config, {Mode::cc}, key).psk.empty());
  EXPECT_TRUE(communicatorOptions(config, {Mode::cc}, key).insecureKeys);
}

}  // namespace
}  // namespace lockstep::bench
