// Another table for a communicator that lives.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

std::string tableWith(const std::string& algorithm) {
  return R"({"version": 2, "tables": [{"rules": [{"op": "allreduce", "modes": ["p2p", "cc"],
             "algorithm": ")" +
         algorithm + R"(", "protocol": "simple", "tile_bytes": 4096, "depth": 2}]}]})";
}

void requireSum(Communicator& communicator, int worldSize) {
  std::vector<int> in(5000, communicator.rank() + 1), out(5000);
  communicator.allReduce(in.data(), out.data(), in.size(), DataType::i32);
  for (const int value : out)
    require(value == worldSize * (worldSize + 1) / 2, "a sum is wrong: " + std::to_string(value));
}

TEST(Retune, TheNextCallRunsByTheNewTable) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes = runRanks(kind, 3, optionsOf(mode), [](Communicator& c, int) {
        for (const char* algorithm : {"ring", "tree", "halving_doubling", "ring"}) {
          requireSum(c, 3);
          c.retune(tableWith(algorithm), "mine");
          const Plan plan = c.plan(Collective::allReduce, 5000, DataType::i32, false);
          require(plan.algorithm == algorithm && plan.tileBytes == 4096 && plan.depth == 2,
                  "the plan is " + plan.algorithm);
          require(plan.reason == "rule 1 of mine", "the reason is " + plan.reason);
        }
        const auto before = c.counters().moved;
        requireSum(c, 3);
        require(c.counters().moved > before, "nothing was moved");
        c.retune(R"({"version": 2, "tables": []})", "none");
        require(c.plan(Collective::allReduce, 8, DataType::i32, false).reason ==
                    "built-in rule; none has no table for this machine",
                "the reason of the built-in rule");
        requireSum(c, 3);
      });
      EXPECT_EQ(failures(outcomes), "");
    }
}

TEST(Retune, DifferentOrBadTablesLeaveTheOldOne) {
  const auto outcomes =
      runRanks(Kind::processes, 2, optionsOf(Mode::p2p), [](Communicator& c, int rank) {
        c.retune(tableWith("tree"), "mine");
        const auto refused = [&](const std::string& table, ErrorCode expected) {
          try {
            c.retune(table, "other");
          } catch (const Error& error) {
            return error.code() == expected;
          }
          return false;
        };
        require(refused(tableWith(rank == 0 ? "ring" : "two_shot"), ErrorCode::mismatch),
                "accepted");
        require(refused("{}", ErrorCode::invalidArgument), "accepted");
        require(c.plan(Collective::allReduce, 5000, DataType::i32, false).algorithm == "tree",
                "the old table is gone");
        requireSum(c, 2);
      });
  EXPECT_EQ(failures(outcomes), "");
}

}  // namespace
}  // namespace lockstep::testing
