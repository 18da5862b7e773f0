// What is left of a communicator goes on: after deaths before and during the call, after failures,
// without the ranks that left, in every mode.
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "support/family.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Reduces until it fails, which must be because a rank died.
void reduceUntilFailure(Communicator& comm) {
  std::vector<float> data(100000, 1.0F);
  try {
    for (;;) comm.allReduce(data.data(), data.data(), data.size(), DataType::f32, Reduction::max);
  } catch (const Error& error) {
    require(error.code() == ErrorCode::peerDied || error.code() == ErrorCode::aborted,
            error.what());
  }
}

/// Ranks of `outcomes` that were not to die are fine, and the others died.
void expectDead(const std::vector<Outcome>& outcomes, const std::vector<int>& dead) {
  for (int r = 0; r < static_cast<int>(outcomes.size()); ++r) {
    const Outcome& outcome = outcomes[static_cast<std::size_t>(r)];
    if (std::ranges::find(dead, r) != dead.end())
      EXPECT_EQ(outcome.text, "killed by signal 9") << describe(outcomes);
    else
      EXPECT_TRUE(outcome.ok) << describe(outcomes);
  }
}

// Rank 0 serves the meeting point.
TEST(Shrink, GoesOnWithoutRankZeroInEveryMode) {
  for (const Mode mode : kModesAll)
    for (const int world : {2, 4, 8}) {
      if (world == 8 && mode != Mode::ccMulticast) continue;
      SCOPED_TRACE(fmt::format("{}, {} ranks", name(mode), world));
      auto left = everyone(world);
      left.erase(left.begin());
      const auto outcomes =
          runRanks(Kind::processes, world, optionsOf(mode), [&](Communicator& comm, int rank) {
            comm.barrier();
            if (rank == 0) die();
            reduceUntilFailure(comm);
            Communicator rest = comm.shrink();
            require(rest.keySource() == comm.keySource(), "another source of keys");
            exercise(rest, left);
            auto child = rest.split(rest.rank() % 2, 0);
            child->barrier();
            exercise(rest, left);
          });
      expectDead(outcomes, {0});
    }
}

TEST(Shrink, KeepsEveryoneWhenNothingFailed) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      EXPECT_EQ(failures(runRanks(kind, 3, optionsOf(mode),
                                  [&](Communicator& comm, int) {
                                    Communicator twin = comm.shrink();
                                    exercise(twin, everyone(3));
                                    exercise(comm, everyone(3));
                                    Communicator third = twin.shrink();
                                    exercise(third, everyone(3));
                                  })),
                "");
    }
}

TEST(Shrink, GoesOnAfterAnAbortAndWithoutWhoLeft) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : {Mode::multicast, Mode::ccMulticast}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      EXPECT_EQ(failures(runRanks(kind, 4, optionsOf(mode),
                                  [&](Communicator& comm, int rank) {
                                    comm.barrier();
                                    if (rank == 0 || rank == 2) return;  // destroys it
                                    if (rank == 1) comm.abort();
                                    Communicator rest = comm.shrink();
                                    exercise(rest, {1, 3});
                                  })),
                "");
    }
}

TEST(Shrink, AgainAndAgain) {
  const auto outcomes = runRanks(Kind::processes, 5, std::vector{optionsOf(Mode::cc)},
                                 [&](std::vector<Communicator>& comms, int rank) {
                                   for (const int victim : {3, 0, 4}) {
                                     comms.back().barrier();
                                     if (rank == victim) die();
                                     reduceUntilFailure(comms.back());
                                     comms.push_back(comms.back().shrink());
                                   }
                                   exercise(comms.back(), {1, 2});
                                   comms.erase(comms.begin(), comms.end() - 1);
                                   exercise(comms.back(), {1, 2});
                                 });
  expectDead(outcomes, {0, 3, 4});
}

// The first communicator has seen two generations fail; those who are left may go back to it.
TEST(Shrink, OfTheSameParentTwice) {
  const auto outcomes =
      runRanks(Kind::processes, 4, optionsOf(Mode::cc), [&](Communicator& comm, int rank) {
        comm.barrier();
        if (rank == 1) die();
        Communicator three = comm.shrink();
        exercise(three, {0, 2, 3});
        if (rank == 0) die();
        reduceUntilFailure(three);
        Communicator two = comm.shrink();
        exercise(two, {2, 3});
      });
  expectDead(outcomes, {0, 1});
}

// Whenever ranks die during the call: who is left is in one communicator, and it works.
TEST(Shrink, WhileRanksDie) {
  constexpr int kWorld = 5, kRounds = 16;
  double slowest = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Mode mode = kModesAll[static_cast<std::size_t>(round) % kModesAll.size()];
    SCOPED_TRACE(fmt::format("round {}, {}", round, name(mode)));
    Shared<std::array<std::atomic<std::int64_t>, kWorld>> milliseconds;
    const auto outcomes =
        runRanks(Kind::processes, kWorld, optionsOf(mode), [&](Communicator& comm, int rank) {
          comm.barrier();
          if (rank == 1) die();
          if (rank == 0 || rank == 3)  // somewhere between the first word and the last
            std::thread([=] {
              std::this_thread::sleep_for(std::chrono::microseconds(round * (rank + 1) * 150));
              die();
            }).detach();
          const auto begin = std::chrono::steady_clock::now();
          Communicator rest = comm.shrink();
          (*milliseconds)[static_cast<std::size_t>(rank)] =
              std::chrono::duration_cast<std::chrono::milliseconds>(
                  std::chrono::steady_clock::now() - begin)
                  .count();
          if (rank == 0 || rank == 3) std::this_thread::sleep_for(10s);
          // Who died late is still a member: the others go on without it in the same way.
          Communicator last = rest.shrink();
          while (last.worldSize() > 2) last = last.shrink();
          exercise(last, {2, 4});
        });
    expectDead(outcomes, {0, 1, 3});
    for (const int r : {2, 4})
      slowest =
          std::max(slowest, static_cast<double>((*milliseconds)[static_cast<std::size_t>(r)]));
    if (HasFailure()) return;
  }
  std::printf("the slowest shrink took %.0f ms\n", slowest);
}

TEST(Shrink, NamesARankThatLivesAndDoesNotCall) {
  Shared<std::atomic<int>> done;
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    *done = 0;
    Options options = optionsOf(Mode::cc);
    options.timeout = 600ms;
    const auto outcomes = runRanks(kind, 3, options, [&](Communicator& comm, int rank) {
      if (rank == 1) {
        while (*done < 2) std::this_thread::sleep_for(1ms);
        return;
      }
      try {
        static_cast<void>(comm.shrink());
      } catch (...) {
        ++*done;
        while (*done < 2) std::this_thread::sleep_for(1ms);
        throw;
      }
    });
    for (const std::size_t r : {0U, 2U}) {
      EXPECT_EQ(outcomes[r].code, ErrorCode::timeout) << describe(outcomes);
      EXPECT_EQ(outcomes[r].blamed, 1);
      EXPECT_EQ(outcomes[r].operation, "shrink");
      EXPECT_THAT(outcomes[r].text, HasSubstr("rank 1 has not answered"));
    }
  }
}

}  // namespace
}  // namespace lockstep::testing
