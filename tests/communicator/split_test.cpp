// Communicators split and duplicated: who is where, that all of them work side by side, and that
// they need nobody but their members.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "communicator/family.hpp"
#include "support/family.hpp"
#include "support/world.hpp"

namespace lockstep::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// Ranks with `rank % colors` in common, from the highest to the lowest.
std::vector<int> reversed(int rank, int worldSize, int colors) {
  std::vector<int> members;
  for (int r = worldSize - 1; r >= 0; --r)
    if (r % colors == rank % colors) members.push_back(r);
  return members;
}

TEST(Family, MembersAreOrderedByKeyThenRank) {
  using family::Wish;
  const std::vector<Wish> wishes{{.color = 1, .key = 5},
                                 {.color = 2, .key = 0},
                                 {.color = 1, .key = -7},
                                 {.color = -3, .key = 0},
                                 {.color = 1, .key = 5}};
  EXPECT_EQ(family::membersWith(wishes, 0), (std::vector{2, 0, 4}));
  EXPECT_EQ(family::membersWith(wishes, 4), (std::vector{2, 0, 4}));
  EXPECT_EQ(family::membersWith(wishes, 1), std::vector{1});
  EXPECT_TRUE(family::membersWith(wishes, 3).empty());
}

TEST(Split, EvenAndOddInReverseInEveryMode) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : kModesAll)
      for (const int world : {2, 3, 4, 8}) {
        if (world == 8 && mode != Mode::ccMulticast) continue;
        SCOPED_TRACE(fmt::format("{}, {}, {} ranks", name(kind), name(mode), world));
        EXPECT_EQ(failures(runRanks(kind, world, optionsOf(mode),
                                    [&](Communicator& comm, int rank) {
                                      auto half = comm.split(rank % 2, -rank);
                                      require(half.has_value(), "no child");
                                      require(half->options().mode == mode, "another mode");
                                      require(half->keySource() == comm.keySource(),
                                              "another source of keys");
                                      exercise(*half, reversed(rank, world, 2));
                                      exercise(comm, everyone(world));
                                      exercise(*half, reversed(rank, world, 2));
                                    })),
                  "");
      }
}

TEST(Split, SingletonsNoColorsAndGrandchildren) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : {Mode::p2p, Mode::cc}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      EXPECT_EQ(
          failures(runRanks(kind, 5, optionsOf(mode),
                            [&](Communicator& comm, int rank) {
                              auto alone = comm.split(rank, 0);
                              exercise(*alone, {rank});
                              auto four = comm.split(rank == 2 ? kNoColor : 7, 0);
                              require(four.has_value() == (rank != 2), "in the wrong child");
                              if (!four) return exercise(comm, everyone(5));
                              exercise(*four, {0, 1, 3, 4});
                              auto two = four->split(four->rank() / 2, -rank);
                              exercise(*two, rank < 2 ? std::vector{1, 0} : std::vector{4, 3});
                              exercise(comm, everyone(5));
                            })),
          "");
    }
}

TEST(Duplicate, OfDuplicatesOutlivesThem) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : kModesAll) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      EXPECT_EQ(failures(runRanks(kind, 3, std::vector{optionsOf(mode)},
                                  [&](std::vector<Communicator>& comms, int) {
                                    for (int generation = 0; generation < 4; ++generation) {
                                      comms.push_back(comms.back().duplicate());
                                      exercise(comms.back(), everyone(3));
                                    }
                                    while (comms.size() > 1) {
                                      comms.erase(comms.begin());
                                      exercise(comms.back(), everyone(3));
                                    }
                                    exercise(comms.front(), everyone(3));
                                  })),
                "");
    }
}

TEST(Split, ParentAndChildrenWorkAtOnceInDifferentThreads) {
  for (const Kind kind : kKindsAll)
    for (const Mode mode : {Mode::p2p, Mode::ccMulticast}) {
      SCOPED_TRACE(fmt::format("{}, {}", name(kind), name(mode)));
      EXPECT_EQ(failures(runRanks(
                    kind, 4, optionsOf(mode),
                    [&](Communicator& comm, int rank) {
                      auto half = comm.split(rank % 2, -rank);
                      Communicator twin = comm.duplicate();
                      std::string wrong;
                      std::thread other([&] {
                        try {
                          for (int i = 0; i < 3; ++i) {
                            exercise(*half, reversed(rank, 4, 2));
                            auto again = half->duplicate();
                            exercise(again, reversed(rank, 4, 2));
                          }
                        } catch (const std::exception& error) {
                          wrong = error.what();
                        }
                      });
                      try {
                        for (int i = 0; i < 3; ++i) {
                          exercise(comm, everyone(4));
                          exercise(twin, everyone(4));
                          auto third = twin.split(rank / 2, 0);
                          exercise(*third, rank < 2 ? std::vector{0, 1} : std::vector{2, 3});
                        }
                      } catch (...) {
                        other.join();
                        throw;
                      }
                      other.join();
                      require(wrong.empty(), wrong);
                    })),
                "");
    }
}

// The meeting point is in a process that is no member of the child, and dies.
TEST(Split, ChildrenDoNotNeedTheMeetingPoint) {
  Shared<std::atomic<int>> ready;
  const auto outcomes =
      runRanks(Kind::processes, 3, optionsOf(Mode::cc), [&](Communicator& comm, int rank) {
        auto pair = comm.split(rank == 0 ? kNoColor : 0, 0);
        ++*ready;
        if (rank == 0) {
          while (*ready < 3) std::this_thread::sleep_for(1ms);
          ::kill(::getpid(), SIGKILL);
        }
        while (::waitpid(-1, nullptr, 0) > 0) {
        }
        for (int i = 0; i < 50; ++i) {
          exercise(*pair, {1, 2});
          std::this_thread::sleep_for(1ms);
        }
        auto again = pair->duplicate();
        exercise(again, {1, 2});
      });
  EXPECT_EQ(outcomes[0].text, "killed by signal 9");
  EXPECT_TRUE(outcomes[1].ok && outcomes[2].ok) << describe(outcomes);
}

TEST(Split, InsecureParentsHaveInsecureChildren) {
  Options options = optionsOf(Mode::cc);
  options.psk.clear();
  options.insecureKeys = true;
  EXPECT_EQ(failures(runRanks(Kind::processes, 2, options,
                              [](Communicator& comm, int) {
                                auto twin = comm.duplicate();
                                require(twin.keySource() == "unauthenticated (insecure)",
                                        twin.keySource());
                                exercise(twin, everyone(2));
                              })),
            "");
}

// The pre-shared key of parents that allow insecure keys is not forgotten.
TEST(Split, ChildrenOfAuthenticatedParentsAreAuthenticated) {
  Options options = optionsOf(Mode::ccMulticast);
  options.insecureKeys = true;
  EXPECT_EQ(failures(runRanks(Kind::threads, 2, options,
                              [](Communicator& comm, int) {
                                auto twin = comm.duplicate();
                                require(twin.keySource() == "X25519 and pre-shared key",
                                        twin.keySource());
                                require(twin.options().psk.empty(), "the key is kept");
                              })),
            "");
}

TEST(Split, DifferentCallsAreAMismatchAndChangeNothing) {
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    EXPECT_EQ(failures(runRanks(kind, 3, optionsOf(Mode::p2p),
                                [&](Communicator& comm, int rank) {
                                  try {
                                    if (rank == 1)
                                      static_cast<void>(comm.split(0, 0));
                                    else
                                      static_cast<void>(comm.duplicate());
                                    require(false, "no error");
                                  } catch (const Error& error) {
                                    require(error.code() == ErrorCode::mismatch, error.what());
                                    require(std::string(error.what()).find("rank 1 called split") !=
                                                    std::string::npos ||
                                                rank == 1,
                                            error.what());
                                  }
                                  auto twin = comm.duplicate();
                                  exercise(twin, everyone(3));
                                  exercise(comm, everyone(3));
                                })),
              "");
  }
}

TEST(Split, AfterAFailureIsAborted) {
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    const auto outcomes =
        runRanks(kind, 2, optionsOf(Mode::p2p), [&](Communicator& comm, int rank) {
          if (rank == 0) comm.abort();
          static_cast<void>(comm.split(0, 0));  // rank 1: while it waits for rank 0
        });
    for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.code, ErrorCode::aborted);
    EXPECT_THAT(outcomes[0].text, HasSubstr("shrink"));
  }
}

TEST(Split, ARankThatDoesNotComeIsNamed) {
  Options options = optionsOf(Mode::cc);
  options.timeout = 600ms;
  Shared<std::atomic<int>> done;
  for (const Kind kind : kKindsAll) {
    SCOPED_TRACE(name(kind));
    *done = 0;
    const auto outcomes = runRanks(kind, 3, options, [&](Communicator& comm, int rank) {
      if (rank == 2) {
        while (*done < 2) std::this_thread::sleep_for(1ms);
        return;
      }
      try {
        static_cast<void>(comm.split(0, 0));
      } catch (...) {
        ++*done;
        throw;
      }
    });
    for (int r = 0; r < 2; ++r) {
      const Outcome& outcome = outcomes[static_cast<std::size_t>(r)];
      EXPECT_TRUE(outcome.code == ErrorCode::timeout || outcome.code == ErrorCode::aborted);
      if (outcome.code == ErrorCode::timeout) {
        EXPECT_EQ(outcome.blamed, 2);
      }
      EXPECT_EQ(outcome.operation, "split");
    }
  }
}

TEST(Split, AForkedChildIsRefused) {
  EXPECT_EQ(failures(runRanks(Kind::processes, 2, optionsOf(Mode::cc),
                              [](Communicator& comm, int) {
                                const pid_t pid = ::fork();
                                if (pid == 0) {
                                  int refused = 0;
                                  for (int which = 0; which < 3; ++which) try {
                                      if (which == 0) static_cast<void>(comm.split(0, 0));
                                      if (which == 1) static_cast<void>(comm.duplicate());
                                      if (which == 2) static_cast<void>(comm.shrink());
                                    } catch (const Error& error) {
                                      refused += error.code() == ErrorCode::invalidArgument;
                                    }
                                  ::_exit(refused);
                                }
                                int status = 0;
                                ::waitpid(pid, &status, 0);
                                require(WIFEXITED(status) && WEXITSTATUS(status) == 3,
                                        fmt::format("status {}", status));
                                auto twin = comm.duplicate();
                                exercise(twin, everyone(2));
                              })),
            "");
}

}  // namespace
}  // namespace lockstep::testing
