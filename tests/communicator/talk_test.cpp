// A rank that allocates, splits, duplicates or retunes where others call a collective, or send:
// they hear of it, rather than at their deadline of a rank that did not come.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/world.hpp"

namespace lockstep::testing {
namespace {

struct Call {
  const char* name;
  std::function<void(Communicator&)> make;
};

std::vector<Call> talks() {
  return {{"alloc", [](Communicator& c) { static_cast<void>(c.alloc(4096)); }},
          {"split", [](Communicator& c) { static_cast<void>(c.split(0, 0)); }},
          {"duplicate", [](Communicator& c) { static_cast<void>(c.duplicate()); }},
          {"retune", [](Communicator& c) { c.retune(R"({"version": 1, "rules": []})", "mine"); }}};
}

std::vector<Call> others() {
  return {{"barrier #", [](Communicator& c) { c.barrier(); }},
          {"receive of 1 i32 from rank 1", [](Communicator& c) {
             std::int32_t value = 0;
             c.receive(&value, 1, DataType::i32, 1);
           }}};
}

TEST(Talk, ThatMeetsACallIsNamed) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc})
      for (const Call& talk : talks())
        for (const Call& other : others()) {
          SCOPED_TRACE(
              fmt::format("{}, {}: {}, {}", name(kind), name(mode), talk.name, other.name));
          const auto outcomes = runRanks(kind, 2, optionsOf(mode), [&](Communicator& c, int rank) {
            talk.make(c);  // as it should be
            (rank == 1 ? talk : other).make(c);
          });
          EXPECT_EQ(outcomes[0].code, ErrorCode::mismatch) << describe(outcomes);
          EXPECT_EQ(outcomes[0].blamed, 1);
          EXPECT_THAT(outcomes[0].text, ::testing::HasSubstr(other.name));
          EXPECT_THAT(outcomes[0].text,
                      ::testing::HasSubstr(fmt::format("rank 1 is in {} already", talk.name)));
          EXPECT_EQ(outcomes[1].code, ErrorCode::aborted) << describe(outcomes);
        }
}

/// Rank 1 has done its part, and rank 0 waits for rank 2: that is as it should be.
TEST(Talk, OfARankThatHasDoneItsPartIsNoMismatch) {
  for (const Kind kind : {Kind::threads, Kind::processes})
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      const auto outcomes = runRanks(kind, 3, optionsOf(mode), [](Communicator& c, int rank) {
        for (const Call& talk : talks()) {
          if (rank == 2) std::this_thread::sleep_for(std::chrono::milliseconds(15));
          std::int32_t value = 1;
          c.reduce(&value, &value, 1, DataType::i32, Reduction::sum, 0);
          require(rank != 0 || value == 3, "the wrong sum");
          talk.make(c);
        }
      });
      EXPECT_EQ(failures(outcomes), "") << name(kind) << ", " << name(mode);
    }
}

}  // namespace
}  // namespace lockstep::testing
