// The tuning table: what it reads, what it refuses, and what it chooses.
#include "communicator/tuning.hpp"

#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "fuzz/tuning_target.hpp"
#include <lockstep/error.hpp>

namespace lockstep {
namespace {

const std::string kGood = R"({"version": 1, "rules": [
  {"op": "allreduce", "modes": ["cc", "cc-multicast"], "buffers": "any", "ranks": [2, 8],
   "max_bytes": 65536, "algorithm": "ring", "protocol": "simple", "tile_bytes": 16384, "depth": 3}]})";

/// Two machines' tables; the second one's rules are of sizes and types.
const std::string kTwo = R"({"version": 2, "tables": [
  {"machine": "a", "measured": "on a Monday", "rules": [
    {"op": "allreduce", "modes": ["cc"], "algorithm": "ring", "protocol": "simple"}]},
  {"machine": "b", "rules": [
    {"op": "allreduce", "modes": ["cc"], "min_bytes": 4096, "max_bytes": 8192,
     "types": ["f16", "f32"], "algorithm": "tree", "protocol": "simple", "depth": 2}]}]})";

TuningTable parse(const std::string& text, const std::string& machine = "here") {
  return TuningTable::parse(text, "tuning.json", machine);
}

Situation situation(Mode mode, int world, std::size_t bytes) {
  return {.collective = Collective::allReduce,
          .mode = mode,
          .worldSize = world,
          .bytes = bytes,
          .direct = false,
          .zeroCopy = !isSealed(mode)};
}

TEST(Tuning, AFileDecidesWhereItMatchesAndTheBuiltInRulesElsewhere) {
  const TuningTable table = parse(kGood);
  const Choice mine = table.select(situation(Mode::cc, 4, 65536), {}, {});
  EXPECT_EQ(mine.algorithm->name, "ring");
  EXPECT_EQ(mine.tileBytes, 16384U);
  EXPECT_EQ(mine.depth, 3);
  for (const Situation& other : {situation(Mode::p2p, 4, 65536), situation(Mode::cc, 9, 65536),
                                 situation(Mode::cc, 4, 65537)})
    EXPECT_NE(table.select(other, {}, {}).algorithm->name, "ring");
  EXPECT_NE(table.text(), TuningTable::builtIn().text());
}

TEST(Tuning, OfSeveralMachinesOneTableIsTakenAndSaysSo) {
  const Situation call = situation(Mode::cc, 4, 65536);
  EXPECT_EQ(parse(kTwo, "a").select(call, {}, {}).algorithm->name, "ring");
  EXPECT_EQ(parse(kTwo, "a").why(call, {}, {}), "rule 1 of tuning.json; on a Monday");
  const TuningTable none = parse(kTwo, "c");
  EXPECT_EQ(none.text(), TuningTable::builtIn().text());
  EXPECT_EQ(none.why(call, {}, {}), "built-in rule; tuning.json has no table for this machine");
  const std::string anywhere = R"({"version": 2, "tables": [{"rules": [
    {"op": "allreduce", "modes": ["cc"], "algorithm": "ring", "protocol": "simple"}]}]})";
  EXPECT_EQ(parse(anywhere, "c").select(call, {}, {}).algorithm->name, "ring");
}

TEST(Tuning, RulesHoldForTheirSizesAndTypes) {
  const TuningTable table = parse(kTwo, "b");
  const auto chosen = [&](std::size_t bytes, DataType type) {
    Situation call = situation(Mode::cc, 4, bytes);
    call.type = type;
    return table.select(call, {}, {}).algorithm->name;
  };
  EXPECT_EQ(chosen(4096, DataType::f32), "tree");
  EXPECT_EQ(chosen(8192, DataType::f16), "tree");
  EXPECT_NE(chosen(4095, DataType::f32), "tree");
  EXPECT_NE(chosen(8193, DataType::f32), "tree");
  EXPECT_NE(chosen(4096, DataType::f64), "tree");
}

TEST(Tuning, WhyNamesWhatIsForcedAndWhatWasMeasuredAtCreation) {
  TuningTable table = TuningTable::builtIn();
  const Situation call = situation(Mode::p2p, 2, 32768);
  EXPECT_EQ(table.why(call, {}, {}), "built-in rule");
  table.attachPaysAbove(16384);
  EXPECT_EQ(table.why(call, {}, {}),
            "built-in rule; process_vm_readv pays above 16384 bytes, measured at creation");
  EXPECT_EQ(table.why(call, "ring", "simple"),
            "algorithm ring forced; protocol simple forced; tile and depth that suit every "
            "algorithm");
  EXPECT_EQ(table.why(call, "two_shot", {}),
            "algorithm two_shot forced; built-in rule; process_vm_readv pays above 16384 bytes, "
            "measured at creation");
}

/// Forced alone, it takes the protocol that it has.
TEST(Tuning, WhatIsOnlyInPlaceNeedsNoForcedProtocol) {
  Situation call = situation(Mode::p2p, 2, 8);
  call.collective = Collective::broadcast;
  call.direct = call.zeroCopy = true;
  const Choice choice = TuningTable::builtIn().select(call, "joint", {});
  EXPECT_EQ(choice.algorithm->name, "joint");
  EXPECT_EQ(choice.protocol, HostProtocol::zeroCopy);
}

TEST(Tuning, TheBuiltInTableAnswersForEveryWorldAndSizeAndNeverExposesSealedData) {
  const TuningTable table = TuningTable::builtIn();
  for (const Mode mode : {Mode::p2p, Mode::multicast, Mode::cc, Mode::ccMulticast})
    for (int world = 1; world <= schedule::kMaxWorld; ++world)
      for (std::size_t bytes = 0; bytes < std::size_t{1} << 40; bytes = bytes * 3 + 1) {
        const Choice choice = table.select(situation(mode, world, bytes), {}, {});
        ASSERT_NE(choice.algorithm, nullptr);
        ASSERT_FALSE(isSealed(mode) && choice.protocol == HostProtocol::zeroCopy);
      }
}

Situation reproducible(Collective collective, Mode mode, int world, std::size_t bytes) {
  Situation s = situation(mode, world, bytes);
  s.collective = collective;
  s.reproducible = true;
  return s;
}

TEST(Tuning, AReproducibleCommunicatorPassesOverRulesOfOtherOrders) {
  const TuningTable table = parse(kGood);  // a ring
  const Situation s = reproducible(Collective::allReduce, Mode::cc, 4, 65536);
  EXPECT_TRUE(isReproducible(*table.select(s, {}, {}).algorithm));
  EXPECT_NE(table.select(s, {}, {}).algorithm->name, "ring");
}

TEST(Tuning, WhateverIsForcedAReproducibleCommunicatorReducesInRankOrderOrRefuses) {
  const TuningTable table = TuningTable::builtIn();
  for (const schedule::Algorithm* a : schedule::algorithms())
    for (const char* protocol : {"", "ll", "simple", "zero_copy"})
      for (std::size_t c = 0; c < kCollectives; ++c)
        for (const std::size_t bytes : {8, 4096, 1 << 22}) {
          const auto s = reproducible(static_cast<Collective>(c), Mode::p2p, 5, bytes);
          SCOPED_TRACE(std::string(a->name) + ' ' + protocol + ' ' +
                       std::string(name(s.collective)));
          try {
            EXPECT_TRUE(isReproducible(*table.select(s, a->name, protocol).algorithm));
          } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
          }
        }
}

TEST(Tuning, ForcingAnotherOrderOnAReproducibleCommunicatorNamesWhatThereIs) {
  const TuningTable table = TuningTable::builtIn();
  // Also where the collective at hand would not reduce by it: a communicator is all or nothing.
  for (const Collective c : {Collective::allReduce, Collective::allGather})
    for (const char* name : {"ring", "tree", "halving_doubling", "halving", "binomial"}) try {
        static_cast<void>(table.select(reproducible(c, Mode::p2p, 4, 64), name, {}));
        ADD_FAILURE() << name << " was accepted";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
        EXPECT_NE(std::string(error.what()).find("one_shot, two_shot, direct do"),
                  std::string::npos)
            << error.what();
      }
  // What only moves data rounds nothing.
  const auto s = reproducible(Collective::allToAll, Mode::p2p, 4, 64);
  EXPECT_EQ(table.select(s, "bruck", {}).algorithm->name, "bruck");
}

TEST(Tuning, WhatIsWrongIsNamedWithFileAndRule) {
  const auto with = [](const std::string& from, const std::string& to) {
    std::string text = kGood;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "is empty; expected {\"version\": 2"},
      {" \n", "is empty"},
      {"{", "is not JSON"},
      {"[]", "expected {\"version\": 2"},
      {with("\"version\": 1", "\"version\": 2"), "expected {\"version\": 2"},
      {with("\"version\": 1", "\"version\": 3"), "expected {\"version\": 2"},
      {R"({"version": 2, "tables": [7]})", "table 1: expected {\"machine\""},
      {R"({"version": 2, "tables": [{"rules": [], "rule": 1}]})", "table 1: expected"},
      {R"({"version": 2, "tables": [{"rules": [], "machine": 1}]})", "'machine' must be a text"},
      {R"({"version": 2, "tables": [{"rules": [], "measured": [1]}]})", "'measured' must be"},
      // What is for another machine must be good too: else a file would be bad on some only.
      {R"({"version": 2, "tables": [{"machine": "a", "rules": [{}]}]})", "table 1, rule 1: 'op'"},
      {with("\"op\": \"allreduce\"", "\"op\": \"allreduced\""), "'op' must be"},
      {with("\"op\": \"allreduce\"", "\"op\": \"alltoall\""),
       "'ring' with protocol simple for alltoall; algorithms: bruck, direct, pairwise"},
      {with("\"cc-multicast\"", "\"tls\""), "'modes' may hold"},
      {with("[\"cc\", \"cc-multicast\"]", "\"cc\""), "'modes' must be a list"},
      {with("\"any\"", "\"fast\""), "'buffers' must be"},
      {with("[2, 8]", "[8, 2]"), "'ranks' must be"},
      {with("[2, 8]", "[-1, 2]"), "'ranks' must be"},
      {with("[2, 8]", "[1, 65]"), "'ranks' must be"},
      {with("65536", "-1"), "'max_bytes' must be"},
      {with("\"max_bytes\": 65536", "\"min_bytes\": 9, \"max_bytes\": 8"), "'max_bytes' must be"},
      {with("\"max_bytes\": 65536", "\"min_bytes\": -9"), "'min_bytes' must be"},
      {with("\"max_bytes\": 65536", "\"types\": \"f32\""), "'types' must be a list"},
      {with("\"max_bytes\": 65536", "\"types\": [\"f31\"]"), "'types' may hold f16, bf16"},
      {with("\"ring\"", "\"rnig\""), "there is no 'rnig'"},
      {with("\"simple\"", "\"zero_copy\""), "zero_copy is for p2p and multicast only"},
      {with("\"simple\"", "7"), "'protocol' must be a string"},
      {with("16384", "1"), "'tile_bytes' must be"},
      {with("\"depth\": 3", "\"depth\": 9"), "'depth' must be"},
      {with("\"depth\": 3", "\"dept\": 3"), "unknown key 'dept'"}};
  for (const auto& [text, expected] : cases) {
    SCOPED_TRACE(text);
    try {
      static_cast<void>(TuningTable::parse(text, "bad.json", "b"));
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalidArgument);
      EXPECT_NE(std::string(error.what()).find("bad.json"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(expected), std::string::npos) << error.what();
    }
  }
}

TEST(Tuning, AnyBytesAreATableOrAnError) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 5000; ++trial) {
    std::string text = trial % 2 == 0 ? kGood : kTwo;
    for (unsigned edits = 1 + random() % 6; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, 1 + random() % 8);
      else if (random() % 2 == 0)
        text.insert(at, 1, static_cast<char>(random()));
      else
        text[at] = "{}[],:\"0-9e.\\n"[random() % 14];
      if (text.empty()) text = "{";
    }
    fuzz::tuningFile(text);
  }
}

}  // namespace
}  // namespace lockstep
